package console

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
)

// terminal runs commands as a shell would.
type terminal struct {
	t     *testing.T
	data  string // of --data, which is not given if this is empty
	stdin string
	told  string // what the last command wrote to standard error
}

func newTerminal(t *testing.T) *terminal {
	t.Setenv("PENSTOCK_ADDRESS", "")
	t.Setenv("PENSTOCK_ADMIN_KEY", "")
	t.Setenv("PENSTOCK_DATA", "")
	return &terminal{t: t, data: filepath.Join(t.TempDir(), "data")}
}

// run runs caddy penstock with arguments and returns what it printed.
func (s *terminal) run(arguments ...string) (string, error) {
	s.t.Helper()
	root := &cobra.Command{Use: "caddy", SilenceUsage: true, SilenceErrors: true}
	penstock := &cobra.Command{Use: "penstock"}
	addCommands(penstock)
	root.AddCommand(penstock)
	var output, told bytes.Buffer
	root.SetOut(&output)
	root.SetErr(&told)
	root.SetIn(strings.NewReader(s.stdin))
	if s.data != "" { // before the rest, which may end the flags
		arguments = append([]string{"--data", s.data}, arguments...)
	}
	arguments = append([]string{"penstock"}, arguments...)
	root.SetArgs(arguments)
	program := os.Args
	os.Args = append([]string{"caddy"}, arguments...)
	err := root.ExecuteContext(s.t.Context())
	os.Args = program
	s.told = told.String()
	return output.String(), err
}

// complete returns what a shell is told to suggest after some arguments.
func (s *terminal) complete(arguments ...string) (string, error) {
	s.t.Helper()
	root := &cobra.Command{Use: "caddy", SilenceUsage: true, SilenceErrors: true}
	penstock := &cobra.Command{Use: "penstock"}
	addCommands(penstock)
	root.AddCommand(penstock)
	var output bytes.Buffer
	root.SetOut(&output)
	root.SetErr(new(bytes.Buffer))
	root.SetArgs(append([]string{cobra.ShellCompRequestCmd, "penstock"}, arguments...))
	err := root.ExecuteContext(s.t.Context())
	return output.String(), err
}

// must runs a command that has to succeed.
func (s *terminal) must(arguments ...string) string {
	s.t.Helper()
	output, err := s.run(arguments...)
	if err != nil {
		s.t.Fatalf("%v: %v\n%s", arguments, err, output)
	}
	return output
}

// object runs a command with --json that prints an object.
func (s *terminal) object(arguments ...string) record {
	s.t.Helper()
	var object record
	output := s.must(append(arguments, "--json")...)
	if err := json.Unmarshal([]byte(output), &object); err != nil {
		s.t.Fatalf("%v: %v\n%s", arguments, err, output)
	}
	return object
}

var keyPattern = regexp.MustCompile(`pk_[am]_[0-9A-Za-z]{48}`)

func TestCommandsSayWhatIsWrong(t *testing.T) {
	s := newTerminal(t)
	s.must("keys", "create", "a")
	id := onlyKey(t, s)
	folder := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	two, empty := write("two", "one\ntwo\n"), write("empty", "")
	one := write("one", "one\n")
	for _, test := range []struct {
		want      string
		arguments []string
	}{
		{`unknown command "kyes"`, []string{"kyes"}},
		{"--limit -1 is negative", []string{"keys", "list", "--limit", "-1"}},
		{"rpm is given twice", []string{"keys", "create", "b", "--model-limit", "tiny:rpm=1,rpm=2"}},
		{"token_type is given twice", []string{"keys", "create", "b", "--model-limit", "tiny:token_type=input,token_type=output"}},
		{"--overlap 500ms: expected whole seconds", []string{"keys", "rotate", id, "--overlap", "500ms"}},
		{two + " holds no admin key", []string{"keys", "list", "--address", "127.0.0.1:1", "--key-file", two}},
		{empty + " holds no admin key", []string{"keys", "list", "--address", "127.0.0.1:1", "--key-file", empty}},
		{"refused", []string{"keys", "list", "--address", "127.0.0.1:1", "--key-file", one}},
	} {
		_, err := s.run(test.arguments...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %s", test.arguments, err, test.want)
			continue
		}
		// Nobody looked whether the directory is in use.
		if strings.Contains(err.Error(), "in use") {
			t.Errorf("%v: %v", test.arguments, err)
		}
	}
	s.stdin = "one\ntwo"
	if _, err := s.run("keys", "list", "--address", "127.0.0.1:1", "--key-file", "-"); err == nil || !strings.Contains(err.Error(), "standard input holds no admin key") {
		t.Errorf("two lines on standard input: %v", err)
	}
}

// onlyKey returns the id of the only key.
func onlyKey(t *testing.T, s *terminal) string {
	t.Helper()
	var keys []record
	if err := json.Unmarshal([]byte(s.must("keys", "list", "--json")), &keys); err != nil || len(keys) != 1 {
		t.Fatalf("%d keys: %v", len(keys), err)
	}
	return keys[0].text("id")
}

func TestTheVersionIsShown(t *testing.T) {
	s := newTerminal(t)
	if printed := s.must("--version"); !strings.Contains(printed, "penstock version "+runtime.Version()) {
		t.Errorf("the command prints %s", printed)
	}
}
