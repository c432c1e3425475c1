package admin

import (
	"fmt"
	"strings"
	"testing"
)

func TestOddValuesAreRefusedByTheNameOfTheirField(t *testing.T) {
	s := newServer(t)
	many := `"m0"`
	for i := range maxTexts {
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
		got := s.call("POST", "/admin/v1/keys", s.admin, odd.body).want(400)
		if got.object("error")["param"] != odd.param {
			t.Errorf("%.60s: %s", odd.body, got.body)
		}
	}
	top := s.call("POST", "/admin/v1/accounts/default/topups", s.admin, `{"amount":"1"}`, "Idempotency-Key", strings.Repeat("x", 256)).want(400)
	if top.object("error")["param"] != "Idempotency-Key" {
		t.Errorf("a long idempotency key: %s", top.body)
	}
	for _, query := range []string{"input_tokens=1073741825", "output_tokens=1073741825"} {
		got := s.call("GET", "/admin/v1/explain?"+query, s.admin, "").want(400)
		if name, _, _ := strings.Cut(query, "="); got.object("error")["param"] != name {
			t.Errorf("%s: %s", query, got.body)
		}
	}
}

func TestAKeyInTheWrongPlaceDoesNotComeBack(t *testing.T) {
	s := newServer(t)
	s.call("POST", "/admin/v1/accounts", s.admin, `{"id":"`+s.member+`"}`).want(201)
	for _, misplaced := range []struct{ path, body string }{
		{"/admin/v1/keys", `{"name":"a","metadata":{"` + s.member + `":"\u0007"}}`},
		{"/admin/v1/accounts", `{"id":"` + s.member + `"}`},
	} {
		if got := s.call("POST", misplaced.path, s.admin, misplaced.body); got.status/100 != 4 || strings.Contains(got.body, s.member) {
			t.Errorf("%s answers %d and the key", misplaced.path, got.status)
		}
	}
}

// The gate serves models by their ids alone.
func TestExplainKnowsNoModelByItsPath(t *testing.T) {
	s := newServer(t, WithModels(Model{ID: "tiny", Path: "acme/tiny/acme"}))
	got := s.call("GET", "/admin/v1/explain?model=acme%2Ftiny%2Facme", s.member, "").want(200)
	if got.fields()["model_allowed"] != false {
		t.Errorf("explain says %s", got.body)
	}
}

func TestWrongMethodsAndPathsAreAnsweredInTheShapeOfTheirRoutes(t *testing.T) {
	s := newServer(t)
	if got := s.call("PUT", "/admin/v1/me", s.admin, "").want(405).header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("the methods of a GET route are %q", got)
	}
	if got := s.call("GET", "//admin/nope", s.admin, "").want(404); got.errorCode() != "route_not_found" {
		t.Errorf("a path with two slashes: %s", got.body)
	}
}
