package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// errorsAsJSON makes a command and those below it print their errors as JSON, on
// standard error, where --json asks for it.
func (c *console) errorsAsJSON(cmd *cobra.Command) {
	check, run := cmd.Args, cmd.RunE
	cmd.Args = func(cmd *cobra.Command, arguments []string) error {
		if check != nil {
			if err := check(cmd, arguments); err != nil {
				return c.tell(cmd, err)
			}
		}
		return c.tell(cmd, cmd.ValidateFlagGroups()) // which cobra would do too late for tell
	}
	if run != nil {
		cmd.RunE = func(cmd *cobra.Command, arguments []string) error { return c.tell(cmd, run(cmd, arguments)) }
	}
	cmd.SetFlagErrorFunc(c.flagError)
	for _, sub := range cmd.Commands() {
		c.errorsAsJSON(sub)
	}
}

// tell prints an error as JSON if --json asks for that, and returns it.
func (c *console) tell(cmd *cobra.Command, err error) error {
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

// flagError tells that flags cannot be read. A word before them that is no command is
// the mistake then, and not the flags of what was meant.
func (c *console) flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	// What follows the mistake was not read.
	c.json = c.json || wantsJSON(os.Args)
	if cmd.HasSubCommands() {
		if unknown := only(cmd, cmd.Flags().Args()); unknown != nil {
			return c.tell(cmd, unknown)
		}
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if near := flagsLike(cmd, unknown.GetSpecifiedName()); len(near) > 0 {
			err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
		}
	}
	return c.tell(cmd, err)
}

// flagsLike returns the flags of a command that a name resembles.
func flagsLike(cmd *cobra.Command, name string) (near []string) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden && resembles(name, flag.Name) {
			near = append(near, "--"+flag.Name)
		}
	})
	return near
}

// wantsJSON reports whether --json stands among the arguments of the program.
func wantsJSON(arguments []string) bool {
	for _, argument := range arguments {
		if argument == "--" {
			return false
		}
		name, value, given := strings.Cut(argument, "=")
		if name != "--json" {
			continue
		}
		if asked, err := strconv.ParseBool(value); !given || err == nil && asked {
			return true
		}
	}
	return false
}
