package console

import (
	"net/url"

	"github.com/spf13/cobra"
)

// completion suggests values to a shell.
type completion = func(cmd *cobra.Command, arguments []string, begun string) ([]string, cobra.ShellCompDirective)

// words suggests some words.
func words(list ...string) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeKeys suggests the ids of keys that are not revoked, described by their names.
func (c *console) completeKeys(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.complete(cmd, keysPath)
}

// completeAccounts suggests the ids of accounts, for the first argument alone.
func (c *console) completeAccounts(cmd *cobra.Command, arguments []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(arguments) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete(cmd, accountsPath)
}

// complete lists what a route has. Where nothing can be asked, nothing is suggested.
func (c *console) complete(cmd *cobra.Command, path string) (found []string, _ cobra.ShellCompDirective) {
	err := c.connect(cmd, false, func(api *client) error {
		things, err := api.list(cmd.Context(), path, url.Values{}, 1000)
		for _, thing := range things {
			if thing.text("state") != "revoked" {
				found = append(found, thing.text("id")+"\t"+thing.text("name"))
			}
		}
		return err
	})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// suggestFlags suggests the values of flags that have few, in a command and below it.
func suggestFlags(cmd *cobra.Command) {
	for name, list := range map[string][]string{
		"role":       {"member", "admin"},
		"state":      {"active", "expired", "paused", "revoked"},
		"token-type": {"total", "input", "output"},
		"permission": {"inference", "embeddings", "rag"},
		"by":         {"owner", "key", "model", "day"},
	} {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, words(list...)) // fails for a flag that has one
		}
	}
	for _, sub := range cmd.Commands() {
		suggestFlags(sub)
	}
}
