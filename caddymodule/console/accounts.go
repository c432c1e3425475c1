package console

import (
	"net/url"

	"github.com/spf13/cobra"
)

const accountsPath = "/admin/v1/accounts"

func (c *console) accountsCommand() *cobra.Command {
	return group("accounts", "Manages the accounts that pay", c.accountsCreate(), c.accountsList(), c.accountsShow(),
		c.accountsTopUp(), c.accountsAdjust(), c.accountsFreeze(), c.accountsUnfreeze(), c.accountsRename())
}

func (c *console) accountsCreate() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "create ID", Short: "Creates an account with no credit", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return c.connect(cmd, true, func(api *client) error {
				var account record
				body := record{"id": arguments[0], "name": name}
				if err := api.call(cmd.Context(), "POST", accountsPath, body, &account); err != nil {
					return err
				}
				return c.printAccounts(cmd, account, account)
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "display name")
	return cmd
}

func (c *console) accountsTopUp() *cobra.Command {
	cmd := &cobra.Command{
		Use: "topup ACCOUNT AMOUNT", Short: "Adds credits to an account", Args: cobra.ExactArgs(2),
		Example:           "  caddy penstock accounts topup acme 12.5 --idempotency-key invoice-17",
		ValidArgsFunction: c.completeAccounts,
	}
	once := onceFlag(cmd, "top-up")
	cmd.RunE = func(cmd *cobra.Command, arguments []string) error {
		return c.moveCredit(cmd, "top-up", "topups", arguments[0], record{"amount": arguments[1]}, *once)
	}
	return cmd
}

func (c *console) accountsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Lists accounts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.connect(cmd, false, func(api *client) error {
				accounts, err := api.list(cmd.Context(), accountsPath, url.Values{}, 0)
				if err != nil {
					return err
				}
				return c.printAccounts(cmd, accounts, accounts...)
			})
		},
	}
}

// printAccounts prints accounts as a table, or value as JSON.
func (c *console) printAccounts(cmd *cobra.Command, value any, accounts ...record) error {
	if c.json {
		return printJSON(cmd, value)
	}
	t := newTable(cmd.OutOrStdout(), "ID", "NAME", "AVAILABLE", "HELD", "SPENT", "FROZEN")
	for _, account := range accounts {
		t.row(account.texts("id", "name", "available", "held", "spent", "frozen")...)
	}
	return t.flush()
}
