package console

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// accountPath returns the path of one account.
func accountPath(id string) string { return accountsPath + "/" + url.PathEscape(id) }

// patchAccount finds an account and changes it.
func (c *console) patchAccount(cmd *cobra.Command, named string, body record) error {
	return c.oneAccount(cmd, "PATCH", named, body)
}

// oneAccount finds an account, makes a request about it, nil for one without a body, and
// prints the account that comes back.
func (c *console) oneAccount(cmd *cobra.Command, method, named string, body any) error {
	return c.connect(cmd, false, func(api *client) error {
		id, err := accountID(cmd.Context(), api, named)
		if err != nil {
			return err
		}
		var account record
		if err := api.call(cmd.Context(), method, accountPath(id), body, &account); err != nil {
			return err
		}
		return c.printAccounts(cmd, account, account)
	})
}

func (c *console) accountsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ACCOUNT", Short: "Shows an account", Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeAccounts,
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return c.oneAccount(cmd, "GET", arguments[0], nil)
		},
	}
}

func (c *console) accountsRename() *cobra.Command {
	return &cobra.Command{
		Use: "rename ACCOUNT NAME", Short: "Gives an account another display name", Args: cobra.ExactArgs(2),
		ValidArgsFunction: c.completeAccounts,
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return c.patchAccount(cmd, arguments[0], record{"name": arguments[1]})
		},
	}
}

func (c *console) accountsFreeze() *cobra.Command {
	cmd := &cobra.Command{
		Use: "freeze ACCOUNT", Short: "Keeps every key of an account from running calls", Args: cobra.ExactArgs(1),
		Long:              "Keeps every key of an account from running calls. Those that run go on and are charged.",
		ValidArgsFunction: c.completeAccounts,
	}
	reason := cmd.Flags().String("reason", "", "why, for the ledger")
	cmd.RunE = func(cmd *cobra.Command, arguments []string) error {
		return c.patchAccount(cmd, arguments[0], record{"frozen": true, "reason": *reason})
	}
	return cmd
}

func (c *console) accountsUnfreeze() *cobra.Command {
	return &cobra.Command{
		Use: "unfreeze ACCOUNT", Short: "Lets the keys of an account run calls again", Args: cobra.ExactArgs(1),
		ValidArgsFunction: c.completeAccounts,
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return c.patchAccount(cmd, arguments[0], record{"frozen": false})
		},
	}
}

func (c *console) accountsAdjust() *cobra.Command {
	cmd := &cobra.Command{
		Use: "adjust ACCOUNT AMOUNT", Short: "Corrects an account's credits up or down, with a reason", Args: cobra.ExactArgs(2),
		Long: `Corrects an account's credits up or down, with a reason.

An amount below zero is taken away, at most what is available. It follows --,
because it looks like a flag.`,
		Example:           "  caddy penstock accounts adjust --reason 'invoice 17 was paid twice' -- acme -12.5",
		ValidArgsFunction: c.completeAccounts,
	}
	reason := cmd.Flags().String("reason", "", "why the account is corrected; required")
	once := onceFlag(cmd, "adjustment")
	cmd.RunE = func(cmd *cobra.Command, arguments []string) error {
		return c.moveCredit(cmd, "adjustment", "adjustments", arguments[0], record{"amount": arguments[1], "reason": *reason}, *once)
	}
	return cmd
}

// onceFlag adds the flag that names a top-up or an adjustment.
func onceFlag(cmd *cobra.Command, what string) *string {
	return cmd.Flags().String("idempotency-key", "", "name of this "+what+": one name takes effect only once (default: a new name)")
}

// moveCredit makes a top-up or an adjustment. Whoever got no reply is told how to ask
// again; whoever was refused is not, because the same request is refused again.
func (c *console) moveCredit(cmd *cobra.Command, what, route, named string, body record, idempotencyKey string) error {
	if idempotencyKey == "" {
		idempotencyKey = "command-" + rand.Text()
	}
	return c.connect(cmd, false, func(api *client) error {
		id, err := accountID(cmd.Context(), api, named)
		if err != nil {
			return err
		}
		var made record
		err = api.call(cmd.Context(), "POST", accountPath(id)+"/"+route, body, &made, "Idempotency-Key", idempotencyKey)
		var refused *refusal
		if errors.As(err, &refused) && refused.status < http.StatusInternalServerError {
			return err
		}
		if err != nil {
			return fmt.Errorf("%w (to retry the same %s: --idempotency-key %s)", err, what, idempotencyKey)
		}
		if made["replayed"] == true && !c.json {
			fmt.Fprintf(cmd.ErrOrStderr(), "this %s had already been made: nothing was changed now\n", what)
		}
		return c.printAccounts(cmd, made, made.object("account"))
	})
}

func (c *console) keysPause(use, short string, paused bool) *cobra.Command {
	return &cobra.Command{
		Use: use + " KEY", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: c.completeKeys,
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return c.connect(cmd, false, func(api *client) error {
				id, err := keyID(cmd.Context(), api, arguments[0])
				if err != nil {
					return err
				}
				return c.keyCall(cmd, api, "PATCH", keyPath(id), record{"paused": paused})
			})
		},
	}
}

func (c *console) keysImport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import NAME", Short: "Makes a key whose text exists already, from the SHA-256 of the text", Args: cobra.ExactArgs(1),
		Example: "  caddy penstock keys import team-b --owner acme --sha256 $(printf %s \"$KEY\" | sha256sum | cut -d' ' -f1)",
	}
	settings := keyFlags(cmd.Flags())
	sum := cmd.Flags().String("sha256", "", "SHA-256 of the key's text in hexadecimal; required")
	hint := cmd.Flags().String("hint", "", "first and last four characters of the text, to know it again")
	owner := cmd.Flags().String("owner", "", "account that pays (default: that of the admin key); it is created if it does not exist")
	cmd.RunE = func(cmd *cobra.Command, arguments []string) error {
		body, err := settings(cmd.Flags())
		if err != nil {
			return err
		}
		body["name"], body["sha256"], body["hint"] = arguments[0], *sum, *hint
		return c.connect(cmd, true, func(api *client) error {
			if err := setOwner(cmd.Context(), api, body, *owner); err != nil {
				return err
			}
			return c.keyCall(cmd, api, "POST", keysPath+"/import", body)
		})
	}
	return cmd
}
