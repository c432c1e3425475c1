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

func TestMistakesInTheCommandLineAreJSONToo(t *testing.T) {
	s := newTerminal(t)
	for want, arguments := range map[string][]string{
		"unknown flag: --ownr; did you mean --owner?": {"keys", "create", "a", "--ownr", "acme"},
		"invalid argument \"many\" for \"--rpm\"":     {"keys", "create", "a", "--rpm", "many"},
		"accepts 1 arg(s), received 0":                {"accounts", "create"},
		"unknown command \"kyes\"":                    {"kyes"},
		"did you mean revoke?":                        {"keys", "revok", "--overlap", "1h"},
		"[budget no-budget]":                          {"keys", "update", "a", "--budget", "1", "--no-budget"},
		"unknown shorthand flag: 'x'":                 {"keys", "list", "-x"},
	} {
		for _, line := range [][]string{append([]string{"--json"}, arguments...), append(arguments, "--json")} {
			_, err := s.run(line...)
			var told struct{ Error refusal }
			if err == nil || json.Unmarshal([]byte(s.told), &told) != nil || told.Error.Message != err.Error() || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, want %s\n%s", line, err, want, s.told)
			}
		}
		if _, err := s.run(arguments...); err == nil || strings.Contains(s.told, "{") {
			t.Errorf("%v without --json: %v\n%s", arguments, err, s.told)
		}
	}
}

func TestJSONIsAskedForBeforeTheFlagsEnd(t *testing.T) {
	for line, want := range map[string]bool{
		"keys --json": true, "--json=true": true, "--json=1": true, "--json=false": false, "-- --json": false, "--jsonx": false,
	} {
		if wantsJSON(strings.Fields(line)) != want {
			t.Errorf("%s: want %v", line, want)
		}
	}
}
