package console

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
)

// Command returns the command penstock with its subcommands, to be registered with Caddy.
func Command() caddycmd.Command {
	return caddycmd.Command{
		Name:  "penstock",
		Usage: "keys|accounts|usage|entries|explain|models|alerts|ledger ...",
		Short: "Manages API keys, accounts and the ledger of Penstock",
		Long: `Creates, limits, tops up, rotates and revokes API keys, and reports what they used.

With --address a command talks to the administration (penstock_admin) of that
instance, with an admin key from --key-file, the variable PENSTOCK_ADMIN_KEY, or
the file admin.key in the data directory.

Otherwise it goes to the data directory. If an instance runs there, the command
finds it by the socket admin.sock, which only the user of the service and root
can open, and needs no key. If none runs, it opens the ledger itself; the
defaults and bounds of a Caddyfile do not apply then. PENSTOCK_ADDRESS is the
instance if no data directory is named, or if there is no ledger in it.

The first admin key, before or after the start:

	$ caddy penstock keys create --admin --data /var/lib/penstock

A key is printed once, when it is created or rotated. It cannot be shown again.`,
		CobraFunc: addCommands,
	}
}

// console is what all subcommands of penstock share: the flags of the command itself.
type console struct {
	address, data, keyFile string
	json                   bool
}

// addCommands adds all subcommands to the command penstock.
func addCommands(penstock *cobra.Command) {
	c := new(console)
	penstock.Version = runtime.Version()
	flags := penstock.PersistentFlags()
	flags.StringVar(&c.address, "address", "",
		"URL of the running instance (default: $PENSTOCK_ADDRESS, or the one that runs on the data directory)")
	flags.StringVar(&c.data, "data", "", "data directory (default: $PENSTOCK_DATA or ./penstock-data)")
	flags.StringVar(&c.keyFile, "key-file", "", "file with the admin key; - is standard input")
	flags.BoolVar(&c.json, "json", false, "print JSON instead of tables")
	// A command that only groups others lists them.
	penstock.Args = only
	penstock.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	penstock.AddCommand(c.keysCommand(), c.accountsCommand(), c.usageCommand(), c.entriesCommand(), c.explainCommand(),
		c.modelsCommand(), c.alertsCommand(), c.ledgerCommand())
	suggestFlags(penstock)
	c.errorsAsJSON(penstock)
}

// group is a command that only has subcommands.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	grouped := &cobra.Command{
		Use: name, Short: short, Args: only,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	grouped.AddCommand(commands...)
	return grouped
}
