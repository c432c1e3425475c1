package console

import (
	"context"
	"crypto/sha256"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/admin"
)

// runInstance serves the administration of a ledger and returns its URL.
func runInstance(t *testing.T, data, secret string) string {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	running, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	counts := limiter.New()
	instance := httptest.NewServer(admin.New(running, counts, admin.WithAdminKeySHA256(sha256.Sum256([]byte(secret)))))
	t.Cleanup(func() {
		instance.Close()
		if err := counts.Close(); err != nil {
			t.Error(err)
		}
		if err := running.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return instance.URL
}

func TestALedgerIsMadeOnlyWhereTheCommandWasTold(t *testing.T) {
	s := newTerminal(t)
	named := s.data
	t.Chdir(t.TempDir())
	s.data = ""
	for _, arguments := range [][]string{{"keys", "create", "--admin"}, {"accounts", "create", "a"}} {
		_, err := s.run(arguments...)
		if err == nil || !strings.Contains(err.Error(), "no ledger found in ./penstock-data") || !strings.Contains(err.Error(), "--data or PENSTOCK_DATA") {
			t.Errorf("%v: %v", arguments, err)
		}
	}
	if files, _ := os.ReadDir("."); len(files) != 0 {
		t.Errorf("the working directory holds %v", files)
	}
	t.Setenv("PENSTOCK_DATA", named)
	s.must("keys", "create", "--admin")
	if want := "done in a new ledger in " + named; !strings.HasPrefix(s.told, want) {
		t.Errorf("the command said %q, want %q", s.told, want)
	}
	s.must("keys", "create", "second")
	if want := "done in the ledger in " + named + ", on which no instance runs\n"; s.told != want {
		t.Errorf("the command said %q, want %q", s.told, want)
	}
	s.must("keys", "list")
	if s.told != "" {
		t.Errorf("a command that makes nothing said %q", s.told)
	}
}

func TestTheAddressInTheEnvironmentStandsForTheInstance(t *testing.T) {
	s := newTerminal(t)
	const secret = "an administrator's secret"
	url := runInstance(t, filepath.Join(t.TempDir(), "elsewhere"), secret)
	t.Setenv("PENSTOCK_ADMIN_KEY", secret)
	t.Setenv("PENSTOCK_ADDRESS", url)
	t.Chdir(t.TempDir())
	named := s.data

	s.data = "" // no directory is named
	s.must("keys", "create", "a")
	if want := "done by the instance at " + url + "\n"; s.told != want {
		t.Errorf("the command said %q, want %q", s.told, want)
	}
	s.data = named // there is no ledger
	s.must("keys", "create", "b")
	if list := s.must("keys", "list"); !strings.Contains(list, "  a ") || !strings.Contains(list, "  b ") {
		t.Errorf("the instance lists\n%s", list)
	}
	if _, err := os.Stat(named); !os.IsNotExist(err) {
		t.Errorf("a directory was made beside the instance: %v", err)
	}

	t.Setenv("PENSTOCK_ADDRESS", "") // makes a ledger, on which no instance runs
	s.must("keys", "create", "c")
	t.Setenv("PENSTOCK_ADDRESS", url)
	if list := s.must("keys", "list"); strings.Contains(list, "  a ") || !strings.Contains(list, "  c ") {
		t.Errorf("the named directory lists\n%s", list)
	}
}
