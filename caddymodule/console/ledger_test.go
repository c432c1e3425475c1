package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/ledger"
)

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

func TestKeysAreNotCreatedInAnEmptiedLedger(t *testing.T) {
	s := newTerminal(t)
	s.must("keys", "create", "a", "--admin")
	if err := os.Truncate(filepath.Join(s.data, "ledger.db"), 0); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{"keys", "create", "b", "--admin"}, {"ledger", "verify"}} {
		if _, err := s.run(arguments...); err == nil || !strings.Contains(err.Error(), "ledger is lost: the file is empty") {
			t.Errorf("%v: %v", arguments, err)
		}
	}
}

func TestVerifyPrintsHowManyEntriesHaveNoChecksum(t *testing.T) {
	for count, want := range map[int64]bool{0: false, 28: true} {
		var out strings.Builder
		cmd := &cobra.Command{}
		cmd.SetOut(&out)
		if err := (&console{}).printReport(cmd, ledger.Report{NoChecksum: count}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "28 entries of an older version") != want {
			t.Errorf("%d entries: printed is\n%s", count, out.String())
		}
	}
}
