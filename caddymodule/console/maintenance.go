package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

func (c *console) ledgerPrune() *cobra.Command {
	var before string
	var keep int
	cmd := &cobra.Command{
		Use: "prune", Short: "Removes the entries of days before a day, for good; balances and usage by day stay",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case (before == "") == (keep == 0):
				return errors.New("give either --before or --keep-days")
			case keep < 0:
				return fmt.Errorf("--keep-days %d is negative", keep)
			case keep > 0:
				before = time.Now().UTC().AddDate(0, 0, -keep).Format(time.DateOnly)
			}
			return c.connect(cmd, false, func(client *client) error {
				var pruned record
				body := record{"before": before}
				if err := client.call(cmd.Context(), "POST", "/admin/v1/ledger/prune", body, &pruned); err != nil {
					return err
				}
				if c.json {
					return printJSON(cmd, pruned)
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "pruned up to entry", pruned.text("through_seq"))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&before, "before", "", "first UTC day whose entries stay, such as 2030-01-31")
	cmd.Flags().IntVar(&keep, "keep-days", 0, "how many days before today keep their entries")
	return cmd
}

func (c *console) ledgerRescue() *cobra.Command {
	return &cobra.Command{
		Use: "rescue <file>", Short: "Writes what the running instance knows to a new file, after its ledger was deleted or replaced",
		Args: cobra.ExactArgs(1),
		Long: `Writes what the running instance knows to a new file, after its ledger was deleted or replaced. As long
as the instance runs it still has the whole log, or at least the balances, keys and prices. Do not stop it
before this command has succeeded; then stop it and run "ledger restore <file>".

The command talks to the instance at --address (default: http://localhost:8080), as the socket in the data
directory may be gone too.`,
		RunE: func(cmd *cobra.Command, arguments []string) error {
			use := func(client *client) error { return c.rescue(cmd, client, arguments[0]) }
			if c.address == "" && os.Getenv("PENSTOCK_ADDRESS") == "" {
				if _, err := os.Stat(c.folder()); err != nil {
					return c.remote(cmd, "http://localhost:8080", false, use)
				}
			}
			return c.connect(cmd, false, use)
		},
	}
}

// rescue downloads a ledger into a new file and verifies it.
func (c *console) rescue(cmd *cobra.Command, from *client, file string) error {
	part, err := os.CreateTemp(filepath.Dir(file), ".rescue-*.db") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(part.Name()) // fails once it has its name
	progress := printProgress(cmd.ErrOrStderr())
	entries, err := from.download(cmd.Context(), "/admin/v1/ledger/rescue", part, progress)
	if err := errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	report, err := sqlitestore.VerifyFile(cmd.Context(), part.Name(), progress)
	if err != nil {
		return err
	}
	if err := os.Link(part.Name(), file); err != nil {
		return err // a link, because it replaces nothing
	}
	if entries != "complete" {
		fmt.Fprintln(cmd.ErrOrStderr(), "The entries are lost: the file has the balances, keys, prices and recent usage.")
	}
	return c.printCopy(cmd, "rescued to", file, report, "")
}

// download reads the reply of a POST into a file. It returns what the reply says of its
// entries.
func (c *client) download(ctx context.Context, path string, to io.Writer, progress sqlitestore.Progress) (entries string, err error) {
	response, err := c.send(ctx, http.MethodPost, path, nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	done := int64(0)
	for {
		const some = 1 << 20
		n, err := io.CopyN(to, response.Body, some)
		done += n
		progress(sqlitestore.StepCopy, done, response.ContentLength)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if done != response.ContentLength {
		return "", fmt.Errorf("%s: %d bytes came, and not %d", path, done, response.ContentLength)
	}
	return response.Header.Get("X-Penstock-Entries"), nil
}
