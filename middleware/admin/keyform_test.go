package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

func TestCreatingAKeyNamesTheFieldThatIsWrong(t *testing.T) {
	s := newServer(t, WithModels(Model{ID: "tiny"}), WithBounds(limits.Bounds{limits.RPM: {Min: 10, Max: 600}}))
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
		`{"name":"a","permissions":["sudo"]}`:                             "permissions",
		`{"name":"a","cidrs":["10.0.0.0/40"]}`:                            "cidrs",
	} {
		reply := s.Call("POST", "/admin/v1/keys", s.Admin, body)
		if reply.Status != 400 || reply.Param() != want && want != "" {
			t.Errorf("%s: %d %s, want a 400 that names %q", body, reply.Status, reply.Body, want)
		}
	}
	if page := s.Call("GET", "/admin/v1/keys", s.Admin, "").List("keys"); len(page) != 2 {
		t.Errorf("refused requests left %d keys, want the 2 from before", len(page))
	}
}

func TestOddValuesAreRefusedByTheNameOfTheirField(t *testing.T) {
	s := newServer(t)
	many := `"m0"`
	for i := range rest.MaxTexts {
		many += fmt.Sprintf(`,"m%d"`, i+1)
	}
	for _, odd := range []struct{ body, param string }{
		{`{"name":"a","role":""}`, "role"},
		{`{"name":"a","limits":{"token_type":""}}`, "limits.token_type"},
		{`{"name":"a","limits":[]}`, "limits"},
		{`{"name":"a","model_limits":[null]}`, "model_limits.0"},
		{`{"name":"a","metadata":7}`, "metadata"},
		{`{"name":"a","expires_at":"9999-12-31T23:59:59-23:59"}`, "expires_at"},
		{`{"name":"a","models":[` + many + `]}`, "models"},
	} {
		got := s.Call("POST", "/admin/v1/keys", s.Admin, odd.body).Want(400)
		if got.Param() != odd.param {
			t.Errorf("%.60s: %s", odd.body, got.Body)
		}
	}
	top := s.Call("POST", "/admin/v1/accounts/default/topups", s.Admin, `{"amount":"1"}`, "Idempotency-Key", strings.Repeat("x", 256)).Want(400)
	if top.Param() != "Idempotency-Key" {
		t.Errorf("a long idempotency key: %s", top.Body)
	}
	for _, query := range []string{"input_tokens=1073741825", "output_tokens=1073741825"} {
		got := s.Call("GET", "/admin/v1/explain?"+query, s.Admin, "").Want(400)
		if name, _, _ := strings.Cut(query, "="); got.Param() != name {
			t.Errorf("%s: %s", query, got.Body)
		}
	}
}

func TestANewKeyTakesTheDefaultForEachLimitThatIsNotGiven(t *testing.T) {
	h := New(nil, nil, WithDefaultLimits(limits.Row{RPM: 60, TPM: 30000}))
	for body, want := range map[string]limits.Row{
		`{"name":"a"}`:                                    {RPM: 60, TPM: 30000, TokenType: limits.Total},
		`{"name":"a","limits":{"tpd":5}}`:                 {RPM: 60, TPM: 30000, TPD: 5, TokenType: limits.Total},
		`{"name":"a","limits":{"rpm":0}}`:                 {TPM: 30000, TokenType: limits.Total},
		`{"name":"a","limits":{"token_type":"output"}}`:   {RPM: 60, TPM: 30000, TokenType: limits.Output},
		`{"name":"a","role":"admin"}`:                     {},
		`{"name":"a","limits":{"rpm":0,"tpm":0}}`:         {},
		`{"name":"a","role":"admin","limits":{"rpm":10}}`: {RPM: 10, TokenType: limits.Total},
	} {
		f, err := rest.ParseFields([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		made := keyForm{f, &h.rules}.newKey(time.Now())
		if f.Err() != nil {
			t.Fatalf("%s: %v", body, f.Err())
		}
		var got limits.Row
		if len(made.Limits) > 0 {
			got = made.Limits[0]
		}
		if got != want {
			t.Errorf("%s: limits %+v, want %+v", body, got, want)
		}
	}
}

func TestAnUpperBoundHoldsForLimitsThatNobodyNames(t *testing.T) {
	s := newServer(t, WithDefaultLimits(limits.Row{RPM: 60}), WithBounds(limits.Bounds{limits.RPM: {Min: 10, Max: 600}, limits.TPD: {Min: 0, Max: 1000}}))
	for _, body := range []string{`{"name":"a"}`, `{"name":"a","limits":{}}`, `{"name":"a","limits":{"rpm":null}}`} {
		row := s.Call("POST", "/admin/v1/keys", s.Admin, body).Want(201).Object("limits")
		if row["rpm"] != 60.0 || row["tpd"] != 1000.0 {
			t.Errorf("%s makes a key with %v", body, row)
		}
	}
	made := s.Call("POST", "/sdk/api-keys", s.Admin, `{"name":"sdk"}`).Want(201)
	for range 2 {
		if row := made.Object("globalLimits"); row["rpm"] != 60.0 || row["tpd"] != 1000.0 {
			t.Errorf("the SDK makes a key with %v", row)
		}
		made = s.Call("PUT", "/sdk/api-keys/"+made.Text("id"), s.Admin, `{"name":"sdk"}`).Want(200)
	}
}

func TestNullTakesALimitAway(t *testing.T) {
	s := newServer(t, WithBounds(limits.Bounds{limits.TPD: {Min: 0, Max: 1000}}))
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a","limits":{"rpm":5,"tpm":100,"tpd":7}}`).Want(201)
	path := "/admin/v1/keys/" + made.Text("id")
	row := s.Call("PATCH", path, s.Admin, `{"version":1,"limits":{"rpm":null}}`).Want(200).Object("limits")
	if row["rpm"] != 0.0 || row["tpm"] != 100.0 {
		t.Errorf("without requests per minute the key has %v", row)
	}
	for _, body := range []string{`{"version":2,"limits":{"tpd":null}}`, `{"version":2,"limits":null}`} {
		if got := s.Call("PATCH", path, s.Admin, body).Want(400); got.Param() != "limits.tpd" {
			t.Errorf("%s: %s", body, got.Body)
		}
	}

	free := newServer(t)
	made = free.Call("POST", "/admin/v1/keys", free.Admin, `{"name":"a","limits":{"rpm":5}}`).Want(201)
	row = free.Call("PATCH", "/admin/v1/keys/"+made.Text("id"), free.Admin, `{"version":1,"limits":null}`).Want(200).Object("limits")
	if row["rpm"] != 0.0 {
		t.Errorf("without limits the key has %v", row)
	}
}

func FuzzReadingAKeyNeverPanics(f *testing.F) {
	f.Add([]byte(`{"name":"a","limits":{"rpm":1},"model_limits":[{"model":"m"}],"budget":"1.5","metadata":{"a":"b"}}`))
	h := New(nil, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		if fields, err := rest.ParseFields(body); err == nil {
			made := keyForm{fields, &h.rules}.newKey(time.Now())
			if fields.Err() == nil && (made.Name == "" || made.Budget < 0 || made.Budget > ledger.MaxMicro) {
				t.Errorf("%q gave %+v", body, made)
			}
		}
	})
}
