package console

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/ledger"
)

func (c *console) entriesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "entries", Short: "Finds entries of the ledger, in order", Args: cobra.NoArgs,
		Example: "  caddy penstock entries --request-id 4XNQ5D2R\n" +
			"  caddy penstock entries --account acme --kind topup,adjust --from 2026-11-01",
	}
	flags := cmd.Flags()
	filters := map[string]*string{
		"account":    flags.String("account", "", "only entries of this account"),
		"key":        flags.String("key", "", "only entries of the key with this id or name"),
		"request_id": flags.String("request-id", "", "only entries of the call with this request id"),
		"kind":       flags.String("kind", "", "only these kinds, such as topup,adjust"),
		"from":       flags.String("from", "", "only from this time or UTC day on, such as 2030-01-31"),
		"before":     flags.String("before", "", "only before this time or UTC day"),
	}
	after := flags.Int64("after", 0, "only entries after this sequence number")
	limit := flags.Int("limit", 100, "maximum number of entries")
	_ = cmd.RegisterFlagCompletionFunc("kind", words(ledger.KindNames()...))
	_ = cmd.RegisterFlagCompletionFunc("key", c.completeKeys)
	_ = cmd.RegisterFlagCompletionFunc("account", c.completeAccounts)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{"limit": {strconv.Itoa(*limit)}, "after": {strconv.FormatInt(*after, 10)}}
		for name, value := range filters {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		return c.connect(cmd, false, func(api *client) error {
			if err := setID(cmd.Context(), api, query, "key", keyID); err != nil {
				return err
			}
			if err := setID(cmd.Context(), api, query, "account", accountID); err != nil {
				return err
			}
			response, err := api.send(cmd.Context(), "GET", "/admin/v1/entries?"+query.Encode(), nil)
			if err != nil {
				return err
			}
			return errors.Join(c.printEntries(cmd, response.Body, *limit), response.Body.Close())
		})
	}
	return cmd
}

// printEntries prints entries that come one a line, as they are or as a table.
func (c *console) printEntries(cmd *cobra.Command, lines io.Reader, limit int) error {
	if c.json {
		_, err := io.Copy(cmd.OutOrStdout(), lines)
		return err
	}
	t := newTable(cmd.OutOrStdout(), "SEQ", "AT", "KIND", "ACCOUNT", "KEY", "MODEL", "REQUEST", "AMOUNT", "WHAT")
	scanner, count, last := bufio.NewScanner(lines), 0, "0"
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var entry record
		if err := json.Unmarshal(scanner.Bytes(), &entry); err != nil {
			return fmt.Errorf("reading entries: %w", err)
		}
		amount := "-"
		for _, name := range []string{"charged_micro", "amount_micro"} {
			if micro, ok := entry[name].(float64); ok {
				amount = ledger.Micro(micro).String()
			}
		}
		what := entry.text("outcome")
		for _, name := range []string{"reference", "reason"} {
			if entry[name] != nil {
				what = entry.text(name)
			}
		}
		count, last = count+1, entry.text("seq")
		t.row(append(entry.texts("seq", "at", "kind", "account", "key_id", "model", "request_id"), amount, what)...)
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("reading entries: %w", err)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if count == limit {
		fmt.Fprintf(cmd.ErrOrStderr(), "there may be more: --after %s\n", last)
	}
	return nil
}

func (c *console) alertsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "alerts", Short: "Lists the last alerts of the running instance", Args: cobra.NoArgs}
	owner := cmd.Flags().String("owner", "", "only alerts of this account")
	_ = cmd.RegisterFlagCompletionFunc("owner", c.completeAccounts)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{}
		if *owner != "" {
			query.Set("owner", *owner)
		}
		var page record
		err := c.connect(cmd, false, func(api *client) error {
			if err := setID(cmd.Context(), api, query, "owner", accountID); err != nil {
				return err
			}
			return api.call(cmd.Context(), "GET", "/admin/v1/alerts?"+query.Encode(), nil, &page)
		})
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(cmd, page)
		}
		t := newTable(cmd.OutOrStdout(), "AT", "KIND", "ACCOUNT", "KEY", "MODEL", "PERCENT", "USED", "LIMIT")
		for _, alert := range page.list("alerts") {
			t.row(alert.texts("at", "kind", "account", "key_id", "model", "threshold_percent", "used", "limit")...)
		}
		return t.flush()
	}
	return cmd
}

func (c *console) modelsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "models", Short: "Lists the models of the running instance, with prices in credits", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var page record
			err := c.connect(cmd, false, func(api *client) error {
				return api.call(cmd.Context(), "GET", "/admin/v1/models", nil, &page)
			})
			if err != nil {
				return err
			}
			if c.json {
				return printJSON(cmd, page)
			}
			t := newTable(cmd.OutOrStdout(), "MODEL", "PER MINUTE", "PER MILLION INPUT", "CACHED", "OUTPUT", "PER REQUEST")
			for _, model := range page.list("models") {
				price := model.object("price")
				t.row(append([]string{model.text("id")}, price.texts("minute", "input", "cached_input", "output", "request")...)...)
			}
			return t.flush()
		},
	}
}
