package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/admin"
)

// terminal runs commands as a shell would.
type terminal struct {
	t     *testing.T
	data  string
	stdin string
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
	var output bytes.Buffer
	root.SetOut(&output)
	root.SetErr(&output)
	root.SetIn(strings.NewReader(s.stdin))
	root.SetArgs(append(append([]string{"penstock"}, arguments...), "--data", s.data))
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

func TestTheFirstAdminKeyManagesAllOwnersAndTheNextOneItsOwn(t *testing.T) {
	s := newTerminal(t)
	first := s.must("keys", "create", "--admin")
	if found := keyPattern.FindAllString(first, -1); len(found) != 1 || !strings.Contains(first, "shown this once") {
		t.Fatalf("the first admin key is printed as\n%s", first)
	}
	if next := s.object("keys", "create", "--admin", "second"); next["all_owners"] != false || next.text("name") != "second" {
		t.Errorf("the second admin key is %v", next)
	}
	if all := s.object("keys", "create", "--admin", "third", "--all-owners"); all["all_owners"] != true {
		t.Errorf("with --all-owners the key is %v", all)
	}
	list := s.must("keys", "list", "--role", "admin")
	if keyPattern.MatchString(list) || strings.Count(list, "\n") != 4 || !strings.HasPrefix(list, "ID") {
		t.Errorf("the list is\n%s", list)
	}
}

func TestAKeyLivesThroughAllCommands(t *testing.T) {
	s := newTerminal(t)
	made := s.object("keys", "create", "team a", "--owner", "acme", "--rpm", "60", "--max-in-flight", "4", "--token-type", "output",
		"--model", "tiny,large", "--model-limit", "org/tiny:7b:rpm=5,token_type=input", "--budget", "12.5", "--expires", "720h",
		"--scope", "inference", "--cidr", "10.0.0.0/8", "--metadata", "team=a")
	id := made.text("id")
	if got := limitsText(made.object("limits")); got != "rpm=60 max_in_flight=4 token_type=output" {
		t.Errorf("limits %s", got)
	}
	rows := made.list("model_limits")
	if len(rows) != 1 || rows[0].text("model") != "org/tiny:7b" || limitsText(rows[0]) != "rpm=5 token_type=input" {
		t.Errorf("model limits %v", rows)
	}
	if expires, err := time.Parse(time.RFC3339, made.text("expires_at")); err != nil || time.Until(expires) < 719*time.Hour {
		t.Errorf("expires %s", made.text("expires_at"))
	}
	if made.text("budget") != "12.500000" || made.text("models") != "tiny,large" || made.text("cidrs") != "10.0.0.0/8" || made.object("metadata").text("team") != "a" {
		t.Errorf("the key is %v", made)
	}

	changed := s.object("keys", "update", id, "--rpm", "0", "--no-budget", "--no-expiry", "--model", "", "--name", "team b")
	if changed["budget"] != nil || changed["expires_at"] != nil || changed.text("models") != "-" || changed.text("name") != "team b" ||
		limitsText(changed.object("limits")) != "max_in_flight=4 token_type=output" || changed.text("version") != "2" {
		t.Errorf("after the update the key is %v", changed)
	}
	if output, err := s.run("keys", "update", id, "--rpm", "1", "--version", "1"); err == nil || !strings.Contains(err.Error(), "version is 2") {
		t.Errorf("an old version: %v %s", err, output)
	}
	later := s.must("keys", "update", id, "--rpm", "7", "--next-window")
	if !strings.Contains(later, "until the next window") {
		t.Errorf("a change for later prints\n%s", later)
	}

	rotated := s.must("keys", "rotate", id, "--overlap", "1h")
	text := keyPattern.FindString(rotated)
	if text == "" || text == made.text("key") {
		t.Fatalf("rotation prints\n%s", rotated)
	}
	s.stdin = text + "\n"
	if found := s.object("keys", "lookup"); found.text("id") != id {
		t.Errorf("the lookup found %v", found)
	}
	if output := s.must("keys", "revoke", id); !strings.Contains(output, "revoked "+id) {
		t.Errorf("revoking prints %s", output)
	}
	if shown := s.must("keys", "show", id); !strings.Contains(shown, "revoked") || keyPattern.MatchString(shown) {
		t.Errorf("show prints\n%s", shown)
	}
	if _, err := s.run("keys", "update", id, "--rpm", "1"); err == nil {
		t.Error("a revoked key was changed")
	}
}

func TestAccountsAreToppedUpOnce(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme", "--name", "Acme Ltd")
	s.must("accounts", "topup", "acme", "12.5", "--idempotency-key", "invoice 1")
	if output := s.must("accounts", "topup", "acme", "12.5", "--idempotency-key", "invoice 1"); !strings.Contains(output, "made before") {
		t.Errorf("a repeated top-up prints %s", output)
	}
	s.must("accounts", "topup", "acme", "1")
	if list := s.must("accounts", "list"); !strings.Contains(list, "13.500000") {
		t.Errorf("the list is\n%s", list)
	}
	if _, err := s.run("accounts", "topup", "acme", "1e9"); err == nil || !strings.Contains(err.Error(), "amount") {
		t.Errorf("a bad amount: %v", err)
	}
	if _, err := s.run("accounts", "topup", "nobody", "1"); err == nil {
		t.Error("an unknown account was topped up")
	}
}

func TestTheLedgerIsVerifiedAndExported(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme")
	s.must("accounts", "topup", "acme", "5")
	s.must("keys", "create", "a")
	if report := s.object("ledger", "verify"); report.text("accounts") != "2" || report.text("keys") != "1" || report.text("deposited_micro") != "5000000" {
		t.Errorf("the report is %v", report)
	}
	if text := s.must("ledger", "verify"); !strings.Contains(text, "adds up") || !strings.Contains(text, "5.000000") {
		t.Errorf("verify prints\n%s", text)
	}
	file := filepath.Join(t.TempDir(), "entries.jsonl")
	s.must("ledger", "export", "--output", file)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), `"kind":"topup"`) || strings.Contains(string(content), "sha256") {
		t.Errorf("the export is\n%s", content)
	}
	if _, err := s.run("ledger", "export", "--output", file); err == nil {
		t.Error("an export replaced a file")
	}
}

func TestNothingIsMadeWhereThereIsNoLedger(t *testing.T) {
	s := newTerminal(t)
	for _, arguments := range [][]string{{"keys", "list"}, {"keys", "show", "x"}, {"usage"}, {"accounts", "topup", "a", "1"}, {"ledger", "verify"}} {
		if output, err := s.run(arguments...); err == nil {
			t.Errorf("%v: %s", arguments, output)
		}
	}
	if _, err := os.Stat(s.data); !os.IsNotExist(err) {
		t.Error("a question made a data directory")
	}
}

func TestARunningInstanceIsAskedWithTheAdminKeyFromFileVariableOrInput(t *testing.T) {
	s := newTerminal(t)
	s.must("keys", "create", "a")
	store, err := sqlitestore.Open(t.Context(), s.data)
	if err != nil {
		t.Fatal(err)
	}
	running, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close(t.Context())
	counts := limiter.New()
	defer counts.Close()
	const secret = "an administrator's secret"
	instance := httptest.NewServer(admin.New(running, counts, admin.WithAdminKeySHA256(sha256.Sum256([]byte(secret)))))
	defer instance.Close()

	// The directory is locked; without a key the command says what it needs.
	if _, err := s.run("keys", "list", "--address", instance.URL); err == nil || !strings.Contains(err.Error(), "--key-file") {
		t.Errorf("without a key: %v", err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("keys", "list", "--address", instance.URL, "--key-file", file)
	s.stdin = secret
	s.must("keys", "list", "--address", instance.URL, "--key-file", "-")
	t.Setenv("PENSTOCK_ADMIN_KEY", secret)
	t.Setenv("PENSTOCK_ADDRESS", instance.URL)
	if made := s.object("keys", "create", "b"); made.text("key") == "-" {
		t.Errorf("made %v", made)
	}
	if explained := s.must("explain", s.object("keys", "create", "c", "--rpm", "3").text("id"), "--model", "tiny"); !strings.Contains(explained, "fits now") || !strings.Contains(explained, "rpm") {
		t.Errorf("explain prints\n%s", explained)
	}
	narrow := s.object("keys", "create", "d", "--model", "tiny").text("id")
	for words, arguments := range map[string][]string{
		"fits now":               {narrow, "--model", "tiny"},
		"may not use this model": {narrow, "--model", "other"},
	} {
		if explained := s.must(append([]string{"explain"}, arguments...)...); !strings.Contains(explained, words) {
			t.Errorf("explain %v prints\n%s", arguments, explained)
		}
	}
	s.must("keys", "revoke", narrow)
	if explained := s.must("explain", narrow, "--model", "tiny"); !strings.Contains(explained, "the key is revoked") {
		t.Errorf("explain of a revoked key prints\n%s", explained)
	}
	if usage := s.must("usage", "--by", "owner,model"); !strings.HasPrefix(usage, "OWNER") || !strings.Contains(usage, "TOTAL") {
		t.Errorf("usage prints\n%s", usage)
	}
	if report := s.object("ledger", "verify"); report.text("keys") != "4" {
		t.Errorf("a ledger in use verifies as %v", report)
	}
	t.Setenv("PENSTOCK_ADMIN_KEY", "wrong")
	if _, err := s.run("keys", "list"); err == nil || !strings.Contains(err.Error(), "unauthorized") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong key: %v", err)
	}
}

func TestCommandsSayWhatIsWrong(t *testing.T) {
	s := newTerminal(t)
	s.must("keys", "create", "a")
	id := keyID(t, s)
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

// keyID returns the id of the only key.
func keyID(t *testing.T, s *terminal) string {
	t.Helper()
	var keys []record
	if err := json.Unmarshal([]byte(s.must("keys", "list", "--json")), &keys); err != nil || len(keys) != 1 {
		t.Fatalf("%d keys: %v", len(keys), err)
	}
	return keys[0].text("id")
}
