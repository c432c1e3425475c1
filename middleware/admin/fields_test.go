package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestCreatingAKeyNamesTheFieldThatIsWrong(t *testing.T) {
	s := newServer(t, WithModels(Model{ID: "tiny"}), WithBounds(Bounds{RPM: Range{10, 600}}))
	for body, want := range map[string]string{
		`{"name":"a","nmae":"b"}`: "nmae",
		`{}`:                      "name",
		`{"name":null}`:           "name",
		`{"name":7}`:              "name",
		`{"name":"a\u0000b"}`:     "name",
		`{"name":"` + strings.Repeat("x", 257) + `"}`:                     "name",
		`{"name":"a","name":"b"}`:                                         "name",
		`{"name":"a","role":"root"}`:                                      "role",
		`{"name":"a","all_owners":true}`:                                  "all_owners",
		`{"name":"a","all_owners":1,"role":"admin"}`:                      "all_owners",
		`{"name":"a","models":"tiny"}`:                                    "models",
		`{"name":"a","models":["huge"]}`:                                  "models.0",
		`{"name":"a","models":["tiny","tiny"]}`:                           "models.1",
		`{"name":"a","limits":[]}`:                                        "",
		`{"name":"a","limits":{"rpm":-1}}`:                                "limits.rpm",
		`{"name":"a","limits":{"rpm":1.5}}`:                               "limits.rpm",
		`{"name":"a","limits":{"rpm":"60"}}`:                              "limits.rpm",
		`{"name":"a","limits":{"rpm":9007199254740992}}`:                  "limits.rpm",
		`{"name":"a","limits":{"rpm":99999999999999999999}}`:              "limits.rpm",
		`{"name":"a","limits":{"rpm":9}}`:                                 "limits.rpm",
		`{"name":"a","limits":{"rpm":601}}`:                               "limits.rpm",
		`{"name":"a","limits":{"rpm":0}}`:                                 "limits.rpm",
		`{"name":"a","limits":{"rps":1}}`:                                 "limits.rps",
		`{"name":"a","limits":{"token_type":"both"}}`:                     "limits.token_type",
		`{"name":"a","model_limits":[{"rpm":1}]}`:                         "model_limits.0.model",
		`{"name":"a","model_limits":[{"model":"tiny","rpm":-1}]}`:         "model_limits.0.rpm",
		`{"name":"a","model_limits":[{"model":"tiny","extra":-1}]}`:       "model_limits.0.extra",
		`{"name":"a","model_limits":[{"model":"tiny"},{"model":"tiny"}]}`: "model_limits",
		`{"name":"a","budget":12.5}`:                                      "budget",
		`{"name":"a","budget":"-1"}`:                                      "budget",
		`{"name":"a","budget":"1.1234567"}`:                               "budget",
		`{"name":"a","budget":"1e3"}`:                                     "budget",
		`{"name":"a","budget":""}`:                                        "budget",
		`{"name":"a","budget":true}`:                                      "budget",
		`{"name":"a","budget":"9007199254.740992"}`:                       "budget",
		`{"name":"a","expires_at":"2026-11-19T23:59:59Z"}`:                "expires_at",
		`{"name":"a","expires_at":"tomorrow"}`:                            "expires_at",
		`{"name":"a","expires_at":"2030-01-01T00:00:00"}`:                 "expires_at",
		`{"name":"a","expires_at":1900000000}`:                            "expires_at",
		`{"name":"a","metadata":{"k":1}}`:                                 "metadata.k",
		`{"name":"a","metadata":{"k":null}}`:                              "metadata.k",
		`{"name":"a","scopes":["sudo"]}`:                                  "scopes",
		`{"name":"a","cidrs":["10.0.0.0/40"]}`:                            "cidrs",
	} {
		reply := s.call("POST", "/admin/v1/keys", s.admin, body)
		if reply.status != 400 || reply.object("error")["param"] != want && want != "" {
			t.Errorf("%s: %d %s, want a 400 that names %q", body, reply.status, reply.body, want)
		}
	}
	if page := s.call("GET", "/admin/v1/keys", s.admin, "").list("keys"); len(page) != 2 {
		t.Errorf("refused requests left %d keys, want the 2 from before", len(page))
	}
}

func TestTheBodyIsOneJSONObject(t *testing.T) {
	for _, body := range []string{``, `null`, `[]`, `"x"`, `{`, `{"a":1`, `{"a":1}{}`, `{"a":1}x`, `{"a"}`, "{\"a\":\"\xff\"}", `{'a':1}`} {
		if _, err := parseFields([]byte(body)); err == nil {
			t.Errorf("%q: accepted", body)
		}
	}
}

func TestANewKeyTakesTheDefaultForEachLimitThatIsNotGiven(t *testing.T) {
	h := New(nil, nil, WithDefaultLimits(ledger.Limits{RPM: 60, TPM: 30000}))
	for body, want := range map[string]ledger.Limits{
		`{"name":"a"}`:                                    {RPM: 60, TPM: 30000, TokenType: "total"},
		`{"name":"a","limits":{"tpd":5}}`:                 {RPM: 60, TPM: 30000, TPD: 5, TokenType: "total"},
		`{"name":"a","limits":{"rpm":0}}`:                 {TPM: 30000, TokenType: "total"},
		`{"name":"a","limits":{"token_type":"output"}}`:   {RPM: 60, TPM: 30000, TokenType: "output"},
		`{"name":"a","role":"admin"}`:                     {},
		`{"name":"a","limits":{"rpm":0,"tpm":0}}`:         {},
		`{"name":"a","role":"admin","limits":{"rpm":10}}`: {RPM: 10, TokenType: "total"},
	} {
		f, err := parseFields([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		made := keyForm{f, h}.newKey(time.Now())
		if f.err() != nil {
			t.Fatalf("%s: %v", body, f.err())
		}
		var got ledger.Limits
		if len(made.Limits) > 0 {
			got = made.Limits[0]
		}
		if got != want {
			t.Errorf("%s: limits %+v, want %+v", body, got, want)
		}
	}
}

func TestExpiryIsReadInEveryFormThatClientsSend(t *testing.T) {
	want := time.Date(2030, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, text := range []string{
		"2030-06-01T00:00:00Z", "2030-06-01T00:00:00.0Z", "2030-06-01T00:00:00.000Z", "2030-06-01T00:00:00.000000Z",
		"2030-06-01T00:00:00.000000000Z", "2030-06-01T02:00:00+02:00", "2030-06-01T00:00:00", "2030-06-01T00:00:00.000000",
		"2030-06-01 00:00:00", "2030-06-01",
	} {
		got, err := parseMoment(text, sdkTimeForms[:]...)
		if err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2030-13-01T00:00:00Z", "2030-02-30", "1e9", "2030-06-01T00:00", "2030-06-01T00:00:00 UTC"} {
		if got, err := parseMoment(text, sdkTimeForms[:]...); err == nil {
			t.Errorf("%s: read as %v", text, got)
		}
	}
}

func TestANumberOfCreditsIsReadAsPythonWritesIt(t *testing.T) {
	for text, want := range map[string]ledger.Micro{
		"1000": 1000 * ledger.Credit, "12.5": 12_500_000, "0.1": 100_000, "1e-05": 10, "0.30000000000000004": 300_000,
		"1e3": 1000 * ledger.Credit, "0": 0, "4.9e-07": 0, "1E+2": 100 * ledger.Credit,
	} {
		f, err := parseFields([]byte(`{"budget":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		got, present := f.numberAmount("budget")
		if f.err() != nil || !present || got != want {
			t.Errorf("%s: %d, %v, %v", text, got, present, f.err())
		}
	}
	for _, text := range []string{"-1", `"12"`, "1e999999999", "1e400", "9007199255", "true", "[]", "{}"} {
		f, err := parseFields([]byte(`{"budget":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := f.numberAmount("budget"); f.err() == nil {
			t.Errorf("%s: read as %d", text, got)
		}
	}
}

func TestAnAmountKeepsItsValueAsANumber(t *testing.T) {
	for amount, want := range map[ledger.Micro]string{0: "0", 1: "0.000001", 12_500_000: "12.5", 10 * ledger.Credit: "10", ledger.MaxMicro: "9007199254.740991"} {
		if got := amountNumber(amount).String(); got != want {
			t.Errorf("%d: %s, want %s", amount, got, want)
		}
	}
}

func FuzzReadingAKeyNeverPanics(f *testing.F) {
	f.Add([]byte(`{"name":"a","limits":{"rpm":1},"model_limits":[{"model":"m"}],"budget":"1.5","metadata":{"a":"b"}}`))
	f.Add([]byte(`{"name":"a","globalLimits":{"rpm":1},"assetsLimits":[{"assetId":"m"}],"budget":1e5}`))
	h := New(nil, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		if fields, err := parseFields(body); err == nil {
			made := keyForm{fields, h}.newKey(time.Now())
			if fields.err() == nil && (made.Name == "" || made.Budget < 0 || made.Budget > ledger.MaxMicro) {
				t.Errorf("%q gave %+v", body, made)
			}
		}
		if fields, err := parseFields(body); err == nil {
			h.aixplainForm(fields, nil)
		}
	})
}
