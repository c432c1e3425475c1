package admin

import (
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

func TestAnUpperBoundHoldsForLimitsThatNobodyNames(t *testing.T) {
	s := newServer(t, WithDefaultLimits(ledger.Limits{RPM: 60}), WithBounds(Bounds{RPM: Range{10, 600}, TPD: Range{0, 1000}}))
	for _, body := range []string{`{"name":"a"}`, `{"name":"a","limits":{}}`, `{"name":"a","limits":{"rpm":null}}`} {
		limits := s.call("POST", "/admin/v1/keys", s.admin, body).want(201).object("limits")
		if limits["rpm"] != 60.0 || limits["tpd"] != 1000.0 {
			t.Errorf("%s makes a key with %v", body, limits)
		}
	}
	made := s.call("POST", "/sdk/api-keys", s.admin, `{"name":"sdk"}`).want(201)
	for range 2 {
		if limits := made.object("globalLimits"); limits["rpm"] != 60.0 || limits["tpd"] != 1000.0 {
			t.Errorf("the SDK makes a key with %v", limits)
		}
		made = s.call("PUT", "/sdk/api-keys/"+made.text("id"), s.admin, `{"name":"sdk"}`).want(200)
	}
}

func TestNullTakesALimitAway(t *testing.T) {
	s := newServer(t, WithBounds(Bounds{TPD: Range{0, 1000}}))
	made := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"a","limits":{"rpm":5,"tpm":100,"tpd":7}}`).want(201)
	path := "/admin/v1/keys/" + made.text("id")
	limits := s.call("PATCH", path, s.admin, `{"version":1,"limits":{"rpm":null}}`).want(200).object("limits")
	if limits["rpm"] != 0.0 || limits["tpm"] != 100.0 {
		t.Errorf("without requests per minute the key has %v", limits)
	}
	for _, body := range []string{`{"version":2,"limits":{"tpd":null}}`, `{"version":2,"limits":null}`} {
		if got := s.call("PATCH", path, s.admin, body).want(400); got.object("error")["param"] != "limits.tpd" {
			t.Errorf("%s: %s", body, got.body)
		}
	}

	free := newServer(t)
	made = free.call("POST", "/admin/v1/keys", free.admin, `{"name":"a","limits":{"rpm":5}}`).want(201)
	limits = free.call("PATCH", "/admin/v1/keys/"+made.text("id"), free.admin, `{"version":1,"limits":null}`).want(200).object("limits")
	if limits["rpm"] != 0.0 {
		t.Errorf("without limits the key has %v", limits)
	}
}
