package console

import (
	"encoding/json"
	"errors"
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

// errorsAsJSON makes a command and those below it print their errors as JSON, on
// standard error, where --json asks for it.
func (c *console) errorsAsJSON(cmd *cobra.Command) {
	tell := func(cmd *cobra.Command, err error) error {
		if err == nil || !c.json {
			return err
		}
		cmd.SilenceErrors = true
		told := refusal{Message: err.Error()}
		var refused *refusal
		if errors.As(err, &refused) {
			told.Type, told.Code, told.Param = refused.Type, refused.Code, refused.Param
		}
		encoder := json.NewEncoder(cmd.ErrOrStderr())
		encoder.SetIndent("", "  ")
		if printed := encoder.Encode(record{"error": told}); printed != nil {
			return errors.Join(err, printed)
		}
		return err
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, arguments []string) error { return tell(cmd, check(cmd, arguments)) }
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, arguments []string) error { return tell(cmd, run(cmd, arguments)) }
	}
	for _, sub := range cmd.Commands() {
		c.errorsAsJSON(sub)
	}
}
