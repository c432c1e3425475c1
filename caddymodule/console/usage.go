package console

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (c *console) usageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "usage", Short: "Reports what keys used and what it cost", Args: cobra.NoArgs,
		Example: "  caddy penstock usage --from 2026-11-01 --by owner,model",
	}
	filters := map[string]*string{
		"key":   cmd.Flags().String("key", "", "only the key with this id or name"),
		"owner": cmd.Flags().String("owner", "", "only keys of this account"),
		"model": cmd.Flags().String("model", "", "only this model"),
		"from":  cmd.Flags().String("from", "", "first day, such as 2026-01-31"),
		"to":    cmd.Flags().String("to", "", "last day, such as 2026-01-31"),
		"by":    cmd.Flags().String("by", "key,model,day", "group by owner, key, model, day, or several of them"),
	}
	_ = cmd.RegisterFlagCompletionFunc("key", c.completeKeys)
	_ = cmd.RegisterFlagCompletionFunc("owner", c.completeAccounts)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query := url.Values{"limit": {"10000"}}
		for name, value := range filters {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		var page record
		err := c.connect(cmd, false, func(api *client) error {
			if err := setID(cmd.Context(), api, query, "key", keyID); err != nil {
				return err
			}
			if err := setID(cmd.Context(), api, query, "owner", accountID); err != nil {
				return err
			}
			return api.call(cmd.Context(), "GET", "/admin/v1/usage?"+query.Encode(), nil, &page)
		})
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(cmd, page)
		}
		return printUsage(cmd, page, strings.Split(*filters["by"], ","))
	}
	return cmd
}

func printUsage(cmd *cobra.Command, page record, by []string) error {
	columns := make([]string, len(by))
	for i, name := range by {
		columns[i] = strings.ToUpper(name)
	}
	t := newTable(cmd.OutOrStdout(), append(columns, "REQUESTS", "INPUT", "CACHED", "OUTPUT", "TIME", "CREDITS", "WRITTEN OFF")...)
	rows := page.list("usage")
	for i, row := range append(rows, page.object("total")) {
		cells := make([]string, len(by))
		for j, name := range by {
			if name == "key" {
				name = "key_id"
			}
			cells[j] = row.text(name)
		}
		if i == len(rows) {
			cells[0] = "TOTAL"
		}
		micros, _ := row["duration_us"].(float64)
		cells = append(cells, row.texts("requests", "input_tokens", "cached_tokens", "output_tokens")...)
		duration := (time.Duration(micros) * time.Microsecond).Round(time.Millisecond)
		t.row(append(cells, duration.String(), row.text("charged"), row.text("written_off"))...)
	}
	if err := t.flush(); err != nil {
		return err
	}
	if page["truncated"] == true {
		fmt.Fprintln(cmd.ErrOrStderr(), "not all rows are shown, but the total counts them all: narrow the query")
	}
	return nil
}

func (c *console) explainCommand() *cobra.Command {
	var model string
	var input, output, answers, body int64
	cmd := &cobra.Command{
		ValidArgsFunction: c.completeKeys, Use: "explain KEY", Args: cobra.ExactArgs(1),
		Short: "Explains a key's limits and credit: how full they are, and when a call fits",
		Long: `Explains a key's limits and credit: how full they are, what a call would hold and
cost at most, and when it fits.

Only the running instance knows how full they are.`,
	}
	cmd.Flags().StringVar(&model, "model", "", "model of the call")
	cmd.Flags().Int64Var(&input, "input-tokens", 0, "input tokens of the call")
	cmd.Flags().Int64Var(&output, "output-tokens", 0, "output tokens that the call allows for an answer; 0: it names no cap")
	cmd.Flags().Int64Var(&answers, "answers", 1, "answers that the call asks for, such as by n")
	cmd.Flags().Int64Var(&body, "body-bytes", 0, "size of the call's body, which its input tokens are estimated from")
	cmd.RunE = func(cmd *cobra.Command, arguments []string) error {
		query := url.Values{
			"model":        {model},
			"input_tokens": {strconv.FormatInt(input, 10)}, "output_tokens": {strconv.FormatInt(output, 10)},
			"body_bytes": {strconv.FormatInt(body, 10)}, "answers": {strconv.FormatInt(answers, 10)},
		}
		var explained record
		err := c.connect(cmd, false, func(api *client) error {
			id, err := keyID(cmd.Context(), api, arguments[0])
			if err != nil {
				return err
			}
			query.Set("key", id)
			return api.call(cmd.Context(), "GET", "/admin/v1/explain?"+query.Encode(), nil, &explained)
		})
		if err != nil {
			return err
		}
		if c.json {
			return printJSON(cmd, explained)
		}
		return printExplained(cmd, explained)
	}
	return cmd
}

// verdictOf says whether a call would be admitted now, and what stands in its way.
func verdictOf(explained record) (verdict, detail string) {
	if state := explained.text("state"); state != "active" {
		return "never fits", "the key is " + state
	}
	if explained["model_allowed"] == false {
		return "never fits", "the key may not use this model, or there is no such model"
	}
	refusal := explained.object("refusal")
	if refusal == nil {
		return "fits now", ""
	}
	verdict = "fits in " + milliseconds(refusal["retry_after_ms"])
	if refusal["never"] == true {
		verdict = "never fits"
	}
	unit := ""
	if refusal["unit"] == "micro_credits" {
		unit = " micro-credits"
	}
	return verdict, fmt.Sprintf("%s: %s of %s%s used, %s needed",
		refusal.text("rule"), refusal.text("used"), refusal.text("limit"), unit, refusal.text("needed"))
}

func printExplained(cmd *cobra.Command, explained record) error {
	account := explained.object("account")
	t := newTable(cmd.OutOrStdout())
	t.row("key", explained.text("key_id"), explained.text("state"))
	t.row("account", account.text("id"), account.text("available")+" credits available, "+account.text("held")+" held")
	if explained["budget"] != nil {
		t.row("budget", "", explained.text("budget_left")+" credits left of "+explained.text("budget"))
	}
	verdict, detail := verdictOf(explained)
	t.row("call", verdict, detail)
	cost := explained.object("cost")
	t.row("credit", "", cost.text("held")+" credits held at first, "+cost.text("most")+" at most")
	if err := t.flush(); err != nil {
		return err
	}
	t = newTable(cmd.OutOrStdout(), "\nSCOPE", "LIMIT", "TOKENS", "USED", "OF", "LEFT", "FITS IN")
	for _, scope := range explained.list("scopes") {
		name := scope.text("model")
		if name == "-" {
			name = "key"
		}
		for _, limit := range scope.list("limits") {
			fits := milliseconds(limit["fits_in_ms"])
			if limit["never"] == true {
				fits = "never"
			}
			cells := append([]string{name}, limit.texts("rule", "token_type", "used", "limit", "remaining")...)
			t.row(append(cells, fits)...)
		}
		t.row(name, "in flight", "-", scope.text("in_flight"), "-", "-", "-")
	}
	return t.flush()
}

// milliseconds formats a wait for a table.
func milliseconds(value any) string {
	number, _ := value.(float64)
	return (time.Duration(number) * time.Millisecond).String()
}
