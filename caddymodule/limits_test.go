package caddymodule

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/limits"
)

func TestLimitsAreWrittenWithoutWhatIsNotSet(t *testing.T) {
	for want, row := range map[string]Limits{
		`{}`:                              {},
		`{"rpm":60,"tpd":9}`:              {RPM: 60, TPD: 9},
		`{"max_in_flight":4}`:             {MaxInFlight: 4},
		`{"tpm":5,"token_type":"output"}`: {TPM: 5, TokenType: limits.Output},
	} {
		text, err := json.Marshal(&row)
		if err != nil || string(text) != want {
			t.Errorf("%s, %v, want %s", text, err, want)
		}
		var read Limits
		if err := json.Unmarshal([]byte(want), &read); err != nil || read != row {
			t.Errorf("%s is read as %+v, %v", want, read, err)
		}
	}
}

func TestLimitsAreHeldToTheirBounds(t *testing.T) {
	bounds := map[string]limits.Range{"rpm": {Min: 10, Max: 600}}
	for _, test := range []struct {
		row  Limits
		want string
	}{
		{Limits{}, ""}, // what is not set is set when a key is created
		{Limits{RPM: 10, TPM: 1}, ""},
		{Limits{RPM: 9}, "rpm"},
		{Limits{RPM: 601}, "rpm"},
		{Limits{TPM: -1}, "tpm"},
		{Limits{Model: "tiny"}, `model "tiny"`},
	} {
		err := test.row.validate(bounds)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %q", test.row, err, test.want)
		}
	}
}
