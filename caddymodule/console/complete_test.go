package console

import (
	"strings"
	"testing"
)

func TestAShellIsToldIDsAndTheWordsOfFlags(t *testing.T) {
	s := newTerminal(t)
	id := s.object("keys", "create", "frontend", "--owner", "acme").text("id")
	t.Setenv("PENSTOCK_DATA", s.data)
	for want, arguments := range map[string][]string{
		id + "\tfrontend": {"keys", "show", ""},
		"acme":            {"accounts", "topup", ""},
		"paused":          {"keys", "list", "--state", ""},
		"output":          {"keys", "create", "--token-type", ""},
		"adjust":          {"entries", "--kind", ""},
	} {
		output, err := s.complete(arguments...)
		if err != nil || !strings.Contains(output, want) {
			t.Errorf("%v: %v\n%s", arguments, err, output)
		}
	}
}
