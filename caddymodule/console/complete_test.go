package console

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestErrorsAreJSONWhereJSONIsAskedFor(t *testing.T) {
	s := newTerminal(t)
	s.must("accounts", "create", "acme")
	for code, arguments := range map[string][]string{
		"invalid_value": {"accounts", "topup", "acme", "ten"},
		"exists":        {"accounts", "create", "acme"},
		"":              {"accounts", "create"},
	} {
		_, err := s.run(append(arguments, "--json")...)
		var told struct {
			Error struct{ Code, Message string } `json:"error"`
		}
		if err == nil || json.Unmarshal([]byte(s.told), &told) != nil || told.Error.Code != code || told.Error.Message != err.Error() {
			t.Errorf("%v: %v\n%s", arguments, err, s.told)
		}
	}
}

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
