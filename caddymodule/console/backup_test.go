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
