package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

func TestALedgerIsBackedUpAndRestored(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme")
	s.must("accounts", "topup", "acme", "5")
	head := strings.TrimSpace(s.must("ledger", "head"))
	file := filepath.Join(t.TempDir(), "backup.db")
	if output := s.must("ledger", "backup", file); !strings.Contains(output, "backed up to") ||
		!strings.Contains(s.told, "copying: 100 %") || !strings.Contains(s.told, "verifying: 100 %") || !strings.Contains(output, head) {
		t.Errorf("backup prints\n%s", output)
	}
	if _, err := s.run("ledger", "backup", file); err == nil || !strings.Contains(err.Error(), "file already exists") {
		t.Errorf("a backup replaced a file: %v", err)
	}
	s.must("accounts", "topup", "acme", "7")
	if _, err := s.run("ledger", "restore", file); err == nil || !strings.Contains(err.Error(), "--force gives them up") {
		t.Errorf("a newer ledger is replaced: %v", err)
	}
	if output := s.must("ledger", "restore", file, "--force"); !strings.Contains(output, "ledger.db.before-restore") {
		t.Errorf("restore prints\n%s", output)
	}
	if report := s.object("ledger", "verify", "--head", head); report.text("deposited_micro") != "5000000" || report.text("head_seq")+":"+report.text("head_sha256") != head {
		t.Errorf("the report is %v, the head was %s", report, head)
	}
	if printed := s.object("ledger", "head"); printed.text("seq")+":"+printed.text("sha256") != head {
		t.Errorf("the head is %v, not %s", printed, head)
	}
}

func TestALedgerThatIsInUseIsNotReplaced(t *testing.T) {
	s := newTerminal(t)
	s.must("keys", "create", "a")
	file := filepath.Join(t.TempDir(), "backup.db")
	s.must("ledger", "backup", file)
	store, err := sqlitestore.Open(t.Context(), s.data)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, err := s.run("ledger", "restore", file); err == nil || !strings.Contains(err.Error(), "stop the instance first") {
		t.Errorf("restore: %v", err)
	}
	s.must("ledger", "backup", filepath.Join(t.TempDir(), "another.db"))
}

func TestAHeadThatDoesNotFitIsRefused(t *testing.T) {
	s := newTerminal(t)
	s.must("keys", "create", "a")
	head := strings.TrimSpace(s.must("ledger", "head"))
	sequence, hash, _ := strings.Cut(head, ":")
	for kept, want := range map[string]string{
		"5":                                      "is not a number, a colon and 64 hexadecimal digits",
		"x:" + hash:                              "is not a number, a colon and 64 hexadecimal digits",
		"1000:" + hash:                           "no commit ended there",
		sequence + ":" + strings.Repeat("0", 64): "not that of --head",
	} {
		if _, err := s.run("ledger", "verify", "--head", kept); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--head %s: %v, want %s", kept, err, want)
		}
	}
	if err := os.RemoveAll(s.data); err != nil {
		t.Fatal(err)
	}
	if _, err := s.run("ledger", "head"); err == nil {
		t.Error("a ledger that is not there has a head")
	}
}

func TestALedgerIsPruned(t *testing.T) {
	s := newTerminal(t)
	s.must("keys", "create", "a")
	for want, arguments := range map[string][]string{
		"give either":                  {"ledger", "prune"},
		"--keep-days -1 is negative":   {"ledger", "prune", "--keep-days", "-1"},
		"a UTC day such as 2030-01-31": {"ledger", "prune", "--before", "yesterday"},
	} {
		if _, err := s.run(arguments...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", arguments, err, want)
		}
	}
	// All entries are of today, and the last day stays.
	if output := s.must("ledger", "prune", "--keep-days", "30"); !strings.Contains(output, "pruned up to entry 0") {
		t.Errorf("prune prints\n%s", output)
	}
}

func TestALedgerIsRescued(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme")
	s.must("accounts", "topup", "acme", "5")
	folder := t.TempDir()
	file := filepath.Join(folder, "rescued.db")
	s.must("ledger", "rescue", file)
	if _, err := s.run("ledger", "rescue", file); err == nil || !strings.Contains(err.Error(), "file exists") {
		t.Errorf("a rescue replaced a file: %v", err)
	}
	if files, err := os.ReadDir(folder); err != nil || len(files) != 1 {
		t.Errorf("files beside the rescued one: %v, %v", files, err)
	}
	s.data = filepath.Join(t.TempDir(), "new")
	s.must("ledger", "restore", file)
	if report := s.object("ledger", "verify"); report.text("deposited_micro") != "5000000" {
		t.Errorf("the report is %v", report)
	}
}
