package console

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

func (c *console) ledgerCommand() *cobra.Command {
	return group("ledger", "Checks, exports, backs up and restores the ledger of a data directory",
		c.ledgerVerify(), c.ledgerHead(), c.ledgerExport(), c.ledgerBackup(), c.ledgerRestore(), c.ledgerPrune(), c.ledgerRescue())
}

// read calls use with the data directory's log, open for reading only. It may be in use.
func (c *console) read(ctx context.Context, use func(*sqlitestore.Store) error) error {
	store, err := sqlitestore.OpenReader(ctx, c.directory())
	if err != nil {
		return err
	}
	return errors.Join(use(store), store.Close())
}

func (c *console) ledgerVerify() *cobra.Command {
	var kept string
	cmd := &cobra.Command{
		Use: "verify", Short: "Checks that nothing was changed, and that every entry and balance adds up", Args: cobra.NoArgs,
		Long: `Checks that nothing in the ledger was changed, and that every entry and balance adds up. The first
entry that is wrong is named. The ledger may be in use.

With --head it also checks that the ledger goes on from a head that "ledger head" printed earlier. Keep
heads where nobody who can write the ledger can: whoever rewrote its chain of hashes is found by them.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			head, err := parseHead(kept)
			if err != nil {
				return err
			}
			return c.read(cmd.Context(), func(store *sqlitestore.Store) error {
				report, err := sqlitestore.Verify(cmd.Context(), store, printProgress(cmd.ErrOrStderr()))
				if err == nil {
					err = checkHead(cmd.Context(), store, head)
				}
				if err != nil {
					return err
				}
				return c.printReport(cmd, report)
			})
		},
	}
	cmd.Flags().StringVar(&kept, "head", "", "head that was kept earlier, <seq>:<sha256>")
	return cmd
}

// printReport prints what a ledger that adds up holds.
func (c *console) printReport(cmd *cobra.Command, report ledger.Report) error {
	if c.json {
		return printJSON(cmd, record{
			"first_seq": report.First, "last_seq": report.Last, "snapshots": report.Snapshots,
			"accounts": report.Accounts, "keys": report.Keys, "calls": report.Calls,
			"deposited_micro": report.Deposited, "spent_micro": report.Spent, "written_off_micro": report.WriteOff,
			"entries_without_checksum": report.NoChecksum, "head_seq": report.Head.Sequence, "head_sha256": hex.EncodeToString(report.Head.Hash[:]),
		})
	}
	t := newTable(cmd.OutOrStdout(), "the ledger adds up")
	t.row("entries", fmt.Sprintf("%d to %d", report.First, report.Last))
	t.row("accounts", strconv.Itoa(report.Accounts))
	t.row("keys", strconv.Itoa(report.Keys))
	t.row("calls", strconv.FormatInt(report.Calls, 10))
	t.row("deposited", report.Deposited.String())
	t.row("spent", report.Spent.String())
	t.row("written off", report.WriteOff.String())
	t.row("snapshots", strconv.Itoa(report.Snapshots))
	if report.NoChecksum > 0 {
		t.row("without a checksum", fmt.Sprintf("%d entries of an older version: a change would be found as one of up to 16 entries", report.NoChecksum))
	}
	t.row("head", formatHead(report.Head))
	return t.flush()
}

func (c *console) ledgerExport() *cobra.Command {
	var after int64
	var before, file string
	cmd := &cobra.Command{
		Use: "export", Short: "Writes the entries in order, one JSON object per line", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var until time.Time
			if before != "" {
				var err error
				if until, err = time.Parse(time.RFC3339, before); err != nil {
					return fmt.Errorf("--before %q is not a time such as 2030-01-31T12:00:00Z", before)
				}
			}
			return c.read(cmd.Context(), func(store *sqlitestore.Store) error {
				return toFile(cmd.OutOrStdout(), file, func(to io.Writer) error {
					last, err := ledger.Export(cmd.Context(), store, to, after, until)
					if err == nil {
						fmt.Fprintln(cmd.ErrOrStderr(), "last entry:", last)
					}
					return err
				})
			})
		},
	}
	cmd.Flags().Int64Var(&after, "after", 0, "only entries after this sequence number")
	cmd.Flags().StringVar(&before, "before", "", "only entries before this time, such as 2030-01-31T12:00:00Z")
	cmd.Flags().StringVar(&file, "output", "", "file to create, with mode 0600 (default: standard output)")
	return cmd
}

// toFile calls write with a new file, or with standard output if name is empty.
func toFile(standard io.Writer, name string, write func(io.Writer) error) error {
	if name == "" {
		buffered := bufio.NewWriter(standard)
		return errors.Join(write(buffered), buffered.Flush())
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(file)
	return errors.Join(write(buffered), buffered.Flush(), file.Sync(), file.Close())
}
