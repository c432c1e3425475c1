package console

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

const keysPath = "/admin/v1/keys"

// keyPath returns the path of one key.
func keyPath(id string) string { return keysPath + "/" + url.PathEscape(id) }

func (c *console) keysCommand() *cobra.Command {
	return group("keys", "Manages API keys",
		c.keysCreate(), c.keysList(), c.keysShow(), c.keysUpdate(), c.keysRotate(), c.keysRevoke(), c.keysLookup(),
		c.keysImport(), c.keysPause("pause", "Keeps a key from running calls until it is resumed", true),
		c.keysPause("resume", "Lets a paused key run calls again", false))
}

func (c *console) keysCreate() *cobra.Command {
	var isAdmin, allOwners bool
	var owner, once string
	cmd := &cobra.Command{
		Use: "create [NAME]", Short: "Creates a key and prints it once", Args: cobra.MaximumNArgs(1),
		Long: `Creates a key and prints it once.

The first admin key manages the keys of all accounts; later ones do so only
with --all-owners. A limit that is not given has the default from the running
instance's configuration; 0 means no limit.`,
		Example: "  caddy penstock keys create --admin\n" +
			"  caddy penstock keys create team-a --owner acme --rpm 60 --budget 12.5 --expires 2030-01-31T00:00:00Z",
	}
	settings := keyFlags(cmd.Flags())
	cmd.Flags().BoolVar(&isAdmin, "admin", false, "create an admin key, which manages keys and cannot run models")
	cmd.Flags().BoolVar(&allOwners, "all-owners", false, "let the admin key manage the keys of all accounts")
	cmd.Flags().StringVar(&owner, "owner", "",
		"account that pays (default: that of the admin key); it is created if it does not exist")
	cmd.Flags().StringVar(&once, "idempotency-key", "",
		"name of this request: one name makes one key, however often it is sent (default: none)")
	cmd.RunE = func(cmd *cobra.Command, arguments []string) error {
		body, err := settings(cmd.Flags())
		if err != nil {
			return err
		}
		if expires, _ := cmd.Flags().GetString("expires"); once != "" && body["expires_at"] != nil && body["expires_at"] != expires {
			return fmt.Errorf("--expires %s counts from now: with --idempotency-key give a time, so that the request is the same each time", expires)
		}
		body["role"] = "member"
		if isAdmin {
			body["role"] = "admin"
		}
		body["name"] = body["role"]
		if len(arguments) > 0 {
			body["name"] = arguments[0]
		}
		return c.connect(cmd, true, func(api *client) error {
			if err := setOwner(cmd.Context(), api, body, owner); err != nil {
				return err
			}
			if isAdmin && !allOwners {
				if allOwners, err = firstAdmin(cmd.Context(), api); err != nil {
					return err
				}
			}
			if allOwners {
				body["all_owners"] = true
			}
			key, err := createOnce(cmd.Context(), api, body, once)
			if err != nil {
				return err
			}
			return c.printSecret(cmd, key)
		})
	}
	return cmd
}

// createOnce creates a key, under an idempotency key if that is not empty. The first admin
// key was made for all owners, which it is no longer when its request is sent again: that
// request is asked for too. It can make nothing, because its idempotency key is in use.
func createOnce(ctx context.Context, api *client, body record, once string) (key record, err error) {
	if once == "" {
		return key, api.call(ctx, "POST", keysPath, body, &key)
	}
	err = api.call(ctx, "POST", keysPath, body, &key, "Idempotency-Key", once)
	var refused *refusal
	if errors.As(err, &refused) && refused.Code == "idempotency_key_reused" && body["role"] == "admin" && body["all_owners"] == nil {
		body["all_owners"] = true
		if api.call(ctx, "POST", keysPath, body, &key, "Idempotency-Key", once) == nil {
			return key, nil
		}
	}
	return key, err
}

// firstAdmin reports whether there is no admin key yet.
func firstAdmin(ctx context.Context, api *client) (bool, error) {
	var page record
	err := api.call(ctx, "GET", keysPath+"?role=admin&limit=1", nil, &page)
	return len(page.list("keys")) == 0, err
}

func (c *console) keysList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "Lists keys, oldest first", Args: cobra.NoArgs}
	filters := map[string]*string{
		"owner": cmd.Flags().String("owner", "", "only keys of this account"),
		"role":  cmd.Flags().String("role", "", "only member or admin keys"),
		"state": cmd.Flags().String("state", "", "only active, expired or revoked keys"),
		"model": cmd.Flags().String("model", "", "only keys that may use this model"),
		"name":  cmd.Flags().String("name", "", "only keys whose name begins with this"),
	}
	limit := cmd.Flags().Int("limit", 0, "maximum number of keys (default: all)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *limit < 0 {
			return fmt.Errorf("--limit %d is negative", *limit)
		}
		query := url.Values{}
		for name, value := range filters {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		var keys []record
		err := c.connect(cmd, false, func(api *client) (err error) {
			if err := setID(cmd.Context(), api, query, "owner", accountID); err != nil {
				return err
			}
			keys, err = api.list(cmd.Context(), keysPath, query, *limit)
			return err
		})
		if err != nil {
			return err
		}
		return c.printKeys(cmd, keys)
	}
	return cmd
}

// printKeys prints keys as a table, a line each.
func (c *console) printKeys(cmd *cobra.Command, keys []record) error {
	if c.json {
		return printJSON(cmd, keys)
	}
	t := newTable(cmd.OutOrStdout(),
		"ID", "NAME", "OWNER", "ROLE", "STATE", "MODELS", "LIMITS", "BUDGET", "CALLS", "SPENT", "EXPIRES")
	for _, key := range keys {
		cells := key.texts("id", "name", "owner", "role", "state", "models")
		cells = append(cells, limitsText(key.object("limits")))
		t.row(append(cells, key.texts("budget", "requests", "spent", "expires_at")...)...)
	}
	return t.flush()
}

func (c *console) keysShow() *cobra.Command {
	return &cobra.Command{
		ValidArgsFunction: c.completeKeys, Use: "show KEY", Short: "Shows a key, without its text", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return c.connect(cmd, false, func(api *client) error {
				id, err := keyID(cmd.Context(), api, arguments[0])
				if err != nil {
					return err
				}
				return c.keyCall(cmd, api, "GET", keyPath(id), nil)
			})
		},
	}
}

// keyCall makes a request whose reply is a key, and prints the key.
func (c *console) keyCall(cmd *cobra.Command, api *client, method, path string, body any) error {
	var key record
	if err := api.call(cmd.Context(), method, path, body, &key); err != nil {
		return err
	}
	return c.printKey(cmd, key)
}

func (c *console) keysUpdate() *cobra.Command {
	var noBudget, noExpiry, nextWindow bool
	var name string
	var version int64
	cmd := &cobra.Command{
		ValidArgsFunction: c.completeKeys, Use: "update KEY", Short: "Changes a key", Args: cobra.ExactArgs(1),
		Long: "Changes only what the flags name. A limit of 0 means no limit.",
		Example: "  caddy penstock keys update 0123456789 --rpm 120 --budget 100\n" +
			"  caddy penstock keys update 0123456789 --no-expiry",
	}
	settings := keyFlags(cmd.Flags())
	cmd.Flags().StringVar(&name, "name", "", "new name")
	cmd.Flags().BoolVar(&noBudget, "no-budget", false, "remove the budget")
	cmd.Flags().BoolVar(&noExpiry, "no-expiry", false, "remove the expiry")
	cmd.Flags().BoolVar(&nextWindow, "next-window", false, "apply changed limits from the next minute or day on, not now")
	cmd.Flags().Int64Var(&version, "version", 0, "change the key only if it is at this version (default: any)")
	cmd.MarkFlagsMutuallyExclusive("budget", "no-budget")
	cmd.MarkFlagsMutuallyExclusive("expires", "no-expiry")
	cmd.RunE = func(cmd *cobra.Command, arguments []string) error {
		body, err := settings(cmd.Flags())
		if err != nil {
			return err
		}
		if name != "" {
			body["name"] = name
		}
		if noBudget {
			body["budget"] = nil
		}
		if noExpiry {
			body["expires_at"] = nil
		}
		if len(body) == 0 {
			return errors.New("nothing to change: give at least one flag")
		}
		if nextWindow {
			body["effective"] = "next_window"
		}
		return c.connect(cmd, false, func(api *client) error {
			id, err := keyID(cmd.Context(), api, arguments[0])
			if err != nil {
				return err
			}
			if version != 0 {
				body["version"] = version
			}
			return c.keyCall(cmd, api, "PATCH", keyPath(id), body)
		})
	}
	return cmd
}

func (c *console) keysRotate() *cobra.Command {
	var overlap time.Duration
	var endPrevious bool
	cmd := &cobra.Command{
		ValidArgsFunction: c.completeKeys, Use: "rotate KEY", Short: "Replaces a key's text and prints the new one once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			if overlap%time.Second != 0 {
				return fmt.Errorf("--overlap %s: expected whole seconds", overlap)
			}
			body := record{"overlap_seconds": int64(overlap / time.Second), "end_previous": endPrevious}
			return c.connect(cmd, false, func(api *client) error {
				id, err := keyID(cmd.Context(), api, arguments[0])
				if err != nil {
					return err
				}
				var key record
				if err := api.call(cmd.Context(), "POST", keyPath(id)+"/rotate", body, &key); err != nil {
					return err
				}
				return c.printSecret(cmd, key)
			})
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour,
		"how long the old text stays valid, up to 168h; with 0 it ends at once")
	cmd.Flags().BoolVar(&endPrevious, "end-previous", false, "end what earlier rotations left valid, at once")
	return cmd
}

func (c *console) keysRevoke() *cobra.Command {
	return &cobra.Command{
		ValidArgsFunction: c.completeKeys, Use: "revoke KEY...", Short: "Revokes keys at once and forever", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return c.connect(cmd, false, func(api *client) error {
				keys := make([]record, len(arguments))
				for i, named := range arguments {
					id, err := keyID(cmd.Context(), api, named)
					if err != nil {
						return err
					}
					if err := api.call(cmd.Context(), "DELETE", keyPath(id), nil, &keys[i]); err != nil {
						return fmt.Errorf("%s: %w", id, err)
					}
					if !c.json {
						fmt.Fprintln(cmd.OutOrStdout(), "revoked", id, keys[i].text("name"))
					}
				}
				if c.json {
					return printJSON(cmd, keys)
				}
				return nil
			})
		},
	}
}

func (c *console) keysLookup() *cobra.Command {
	return &cobra.Command{
		Use: "lookup", Short: "Looks up the key whose text is on standard input", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.keyFile == "-" {
				return errors.New("standard input is the key to look up: give the admin key in a file")
			}
			text, err := readSecret(cmd.InOrStdin())
			if err != nil {
				return err
			}
			return c.connect(cmd, false, func(api *client) error {
				return c.keyCall(cmd, api, "POST", keysPath+"/lookup", record{"key": text})
			})
		},
	}
}

// printSecret prints a new key with its text.
func (c *console) printSecret(cmd *cobra.Command, key record) error {
	if err := c.printKey(cmd, key); err != nil || c.json {
		return err
	}
	if key["replayed"] == true {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "\nreplayed: this key had been made before, and its text was shown then. "+
			"If it was lost, rotate the key.")
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "\nThe key, shown only once:\n\n%s\n", key.text("key"))
	return err
}

// printKey prints everything about a key but its text.
func (c *console) printKey(cmd *cobra.Command, key record) error {
	if c.json {
		return printJSON(cmd, key)
	}
	t := newTable(cmd.OutOrStdout())
	for _, name := range []string{"id", "name", "owner", "role", "all_owners", "state", "hint", "models"} {
		t.row(name, key.text(name))
	}
	t.row("limits", limitsText(key.object("limits")))
	for _, row := range key.list("model_limits") {
		t.row("  "+row.text("model"), limitsText(row))
	}
	if pending := key.object("pending"); pending != nil {
		t.row("  until the next window", limitsText(pending.object("previous_limits")))
	}
	for _, name := range []string{
		"permissions", "cidrs", "budget", "requests", "spent", "held",
		"created_at", "last_used_at", "expires_at", "revoked_at", "previous_valid_until", "version",
	} {
		if _, there := key[name]; there {
			t.row(name, key.text(name))
		}
	}
	metadata := key.object("metadata")
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		t.row("metadata "+name, metadata.text(name))
	}
	return t.flush()
}
