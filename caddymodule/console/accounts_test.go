package console

import (
	"strings"
	"testing"
)

func TestAccountsAreToppedUpOnce(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme", "--name", "Acme Ltd")
	s.must("accounts", "topup", "acme", "12.5", "--idempotency-key", "invoice 1")
	if s.must("accounts", "topup", "acme", "12.5", "--idempotency-key", "invoice 1"); !strings.Contains(s.told, "already been made") {
		t.Errorf("a repeated top-up says %s", s.told)
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
