package console

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

func (c *console) ledgerHead() *cobra.Command {
	return &cobra.Command{
		Use: "head", Short: "Prints the hash that stands for the whole ledger, to be kept elsewhere", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.read(cmd.Context(), func(store *sqlitestore.Store) error {
				head, err := store.Head(cmd.Context())
				if err != nil {
					return err
				}
				if c.json {
					return printJSON(cmd, record{"seq": head.Sequence, "sha256": hex.EncodeToString(head.Hash[:])})
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), formatHead(head))
				return err
			})
		},
	}
}

// formatHead writes a head as parseHead reads it.
func formatHead(head ledger.Head) string {
	return fmt.Sprintf("%d:%x", head.Sequence, head.Hash)
}

// parseHead reads a head; no text is no head.
func parseHead(text string) (head ledger.Head, err error) {
	if text == "" {
		return head, nil
	}
	number, digits, _ := strings.Cut(text, ":")
	head.Sequence, err = strconv.ParseInt(number, 10, 64)
	hash, undecodable := hex.DecodeString(digits)
	if err != nil || undecodable != nil || head.Sequence < 1 || len(hash) != len(head.Hash) {
		return head, fmt.Errorf("--head %q is not a number, a colon and 64 hexadecimal digits", text)
	}
	head.Hash = [32]byte(hash)
	return head, nil
}

// checkHead checks that a ledger goes on from a head, if there is one.
func checkHead(ctx context.Context, store *sqlitestore.Store, head ledger.Head) error {
	if head.Sequence == 0 {
		return nil
	}
	hash, err := store.HashAt(ctx, head.Sequence)
	if err != nil {
		return fmt.Errorf("--head: %w: no commit ended there, or it was pruned", err)
	}
	if hash != head.Hash {
		return fmt.Errorf("%w: at entry %d its hash is %x, not that of --head", ledger.ErrCorrupt, head.Sequence, hash)
	}
	return nil
}
