package console

import (
	"strings"
	"testing"
)

func TestModelsAndEntriesAreListed(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme")
	for i := range 3 {
		s.must("accounts", "topup", "acme", "1", "--idempotency-key", strings.Repeat("i", i+1))
	}
	if output := s.must("models"); !strings.HasPrefix(output, "MODEL") {
		t.Errorf("models prints\n%s", output)
	}
	if output := s.must("entries", "--kind", "topup", "--limit", "2"); !strings.Contains(s.told, "there may be more: --after") || strings.Count(output, " topup ") != 2 {
		t.Errorf("two entries print\n%s", output)
	}
	// The instance that the command starts for itself raises no alerts.
	if _, err := s.run("alerts"); err == nil {
		t.Error("alerts without an instance")
	}
}
