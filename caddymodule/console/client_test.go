package console

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/admin"
)

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
	without := s.object("keys", "create", "without credit", "--owner", "new").text("id")
	if explained := s.must("explain", without, "--model", "tiny"); !strings.Contains(explained, "never fits") || !strings.Contains(explained, "balance: 0 of 0 micro-credits used, 166667 needed") {
		t.Errorf("explain prints\n%s", explained)
	}
	if _, err := running.TopUp(t.Context(), "default", ledger.Credit, "once"); err != nil {
		t.Fatal(err)
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
	if usage := s.must("usage", "--by", "owner,model"); !strings.HasPrefix(usage, "OWNER") || !strings.Contains(usage, "WRITTEN OFF") || !strings.Contains(usage, "TOTAL") {
		t.Errorf("usage prints\n%s", usage)
	}
	if report := s.object("ledger", "verify"); report.text("keys") != "5" {
		t.Errorf("a ledger in use verifies as %v", report)
	}
	t.Setenv("PENSTOCK_ADMIN_KEY", "wrong")
	if _, err := s.run("keys", "list"); err == nil || !strings.Contains(err.Error(), "unauthorized") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong key: %v", err)
	}
}

func TestAListIsReadPageByPage(t *testing.T) {
	pages := map[string]string{
		"":  `{"keys":[{"id":"a"},{"id":"b"}],"next":"b"}`,
		"b": `{"keys":[{"id":"c"},{"id":"d"}],"next":"d"}`,
		"d": `{"keys":[{"id":"e"}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("role") != "member" {
			t.Errorf("the filter is missing in %s", r.URL)
		}
		io.WriteString(w, pages[r.URL.Query().Get("after")])
	}))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	api := &client{base: server.URL, http: http.DefaultClient}
	for maximum, want := range map[int]int{0: 5, 1: 1, 2: 2, 3: 3, 9: 5} {
		keys, err := api.list(t.Context(), keysPath, url.Values{"role": {"member"}}, maximum)
		if err != nil || len(keys) != want {
			t.Errorf("at most %d: %d keys, %v, want %d", maximum, len(keys), err, want)
		}
	}
}
