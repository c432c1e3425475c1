package console

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

func (c *console) ledgerBackup() *cobra.Command {
	return &cobra.Command{
		Use: "backup <file>", Short: "Copies the ledger into a new file, whether in use or not, and verifies the copy",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return c.read(cmd.Context(), func(store *sqlitestore.Store) error {
				report, err := store.Backup(cmd.Context(), arguments[0], printProgress(cmd.ErrOrStderr()))
				if err != nil {
					return err
				}
				return c.printCopy(cmd, "backed up to", arguments[0], report, "")
			})
		},
	}
}

func (c *console) ledgerRestore() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "restore <file>", Short: "Puts a verified backup in the place of the ledger, which must not be in use",
		Args: cobra.ExactArgs(1),
		Long: `Verifies a backup and puts a copy of it in the place of the ledger. Stop the instance first. A ledger
with entries that the backup lacks is replaced only with --force. The ledger that was there is kept in
the data directory under another name.`,
		RunE: func(cmd *cobra.Command, arguments []string) error {
			restored, err := sqlitestore.Restore(cmd.Context(), c.directory(), arguments[0], force, printProgress(cmd.ErrOrStderr()))
			switch {
			case errors.Is(err, ledger.ErrLocked):
				return fmt.Errorf("%w: stop the instance first", err)
			case errors.Is(err, sqlitestore.ErrAhead):
				return fmt.Errorf("%w; --force gives them up", err)
			case err != nil:
				return err
			}
			if err := giveToOwner(sqlitestore.FilePath(c.directory())); err != nil {
				return err
			}
			return c.printCopy(cmd, "restored from", arguments[0], restored.Report, restored.Kept)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a ledger that has entries which the backup lacks")
	return cmd
}

// printCopy prints what a backup holds, and where the ledger before it is kept.
func (c *console) printCopy(cmd *cobra.Command, what, file string, report ledger.Report, kept string) error {
	if c.json {
		printed := record{
			"file": file, "first_seq": report.First, "last_seq": report.Last, "accounts": report.Accounts, "keys": report.Keys,
			"head_seq": report.Head.Sequence, "head_sha256": hex.EncodeToString(report.Head.Hash[:]),
		}
		if kept != "" {
			printed["kept"] = kept
		}
		return printJSON(cmd, printed)
	}
	t := newTable(cmd.OutOrStdout(), "the ledger adds up")
	t.row(what, file)
	t.row("entries", fmt.Sprintf("%d to %d", report.First, report.Last))
	t.row("head", formatHead(report.Head))
	if kept != "" {
		t.row("replaced ledger", kept)
	}
	return t.flush()
}

// printProgress returns a Progress that prints a line for each tenth of a step.
func printProgress(to io.Writer) sqlitestore.Progress {
	const parts = 10
	step, part := "", int64(0)
	return func(now string, done, total int64) {
		if now != step {
			step, part = now, 0
		}
		if total <= 0 || done*parts/total <= part {
			return
		}
		part = done * parts / total
		// An error here would hide the result of the work itself.
		_, _ = fmt.Fprintf(to, "%s: %d %%\n", step, part*100/parts)
	}
}
