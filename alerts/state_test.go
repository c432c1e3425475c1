package alerts

import (
	"os"
	"path/filepath"
	"testing"
)

// A file of an earlier version must not make all its alerts come again.
func TestAStateFileIsReadAsItWasAlwaysWritten(t *testing.T) {
	const written = `[{"Scope":{"Kind":"budget","Account":"a","KeyID":"k","Model":"","TokenType":""},"Mark":{"Period":"","Percent":80}}]`
	file := filepath.Join(t.TempDir(), "alerts.json")
	if err := os.WriteFile(file, []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	g := new(gauge)
	g.set(Level{Type: Budget, Account: "a", KeyID: "k", Used: 9, Limit: 10})
	m, sink := watched(t, g, WithStateFile(file))
	m.Observe("k", "m")
	m.Close()
	if got := sink.take(); got != "[]" {
		t.Errorf("what was reported already came again: %s", got)
	}
	m.saveState()
	if got, err := os.ReadFile(file); err != nil || string(got) != written {
		t.Errorf("the file is now %s, %v", got, err)
	}
}

func TestADamagedStateFileIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "alerts.json")
	if err := os.WriteFile(file, []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := new(gauge)
	g.set(Level{Type: Budget, Account: "a", KeyID: "k", Used: 9, Limit: 10})
	m, sink := watched(t, g, WithStateFile(file))
	m.Observe("k", "m")
	m.Close()
	if got := sink.take(); got != "[budget k 80% 9/10]" {
		t.Errorf("reported %s", got)
	}
}
