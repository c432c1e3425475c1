package admin

import (
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

// An admin of one owner who could rotate a key for all owners would hold it.
func TestAnAdminOfOneOwnerCanNotTakeAKeyForAllOwners(t *testing.T) {
	s := newServer(t)
	root := s.call("GET", "/admin/v1/me", s.admin, "").want(200)
	path, sdk := "/admin/v1/keys/"+root.text("id"), "/sdk/api-keys/"+root.text("id")
	lesser := s.mint(ledger.NewKey{Name: "lesser", Owner: root.text("owner"), Role: ledger.RoleAdmin})
	s.call("GET", path, lesser, "").want(200)
	for _, attempt := range []struct{ method, path, body string }{
		{"POST", path + "/rotate", `{"overlap_seconds":0}`},
		{"PATCH", path, `{"version":1,"cidrs":["10.0.0.0/8"]}`},
		{"DELETE", path, ""},
		{"PUT", sdk, `{"name":"root"}`},
		{"DELETE", sdk, ""},
	} {
		got := s.call(attempt.method, attempt.path, lesser, attempt.body).want(403)
		if strings.Contains(got.body, "pk_") {
			t.Errorf("%s %s shows a key", attempt.method, attempt.path)
		}
	}
	if got := s.call("GET", path, s.admin, "").want(200); got.number("version") != 1 {
		t.Errorf("the key was changed: %s", got.body)
	}
	s.call("POST", path+"/rotate", s.admin, "").want(200)
}
