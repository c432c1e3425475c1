package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
)

func TestAKeyIsMadeShownOnceListedAndRevoked(t *testing.T) {
	ended := make(chan string, 1)
	s := newServer(t, WithDefaultLimits(limits.Row{RPM: 60, TPM: 30000}), WithRevoked(func(id string) { ended <- id }))
	made := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"team-a","owner":"acme","models":["tiny"],
		"limits":{"rpd":1000},"model_limits":[{"model":"tiny","tpm":10,"token_type":"output"}],"budget":"12.5",
		"expires_at":"2030-01-01T00:00:00Z","metadata":{"team":"a"},"permissions":["inference"],"cidrs":["10.1.2.3/8","::1"]}`).Want(201)
	text, id := made.Text("key"), made.Text("id")
	if !strings.HasPrefix(text, "pk_m_") || !strings.Contains(text, id) {
		t.Fatalf("the reply shows no key: %s", made.Body)
	}
	for name, want := range map[string]any{
		"name": "team-a", "owner": "acme", "role": "member", "state": "active", "budget": "12.500000", "budget_micro": 12.5e6,
		"expires_at": "2030-01-01T00:00:00.000Z", "created_at": "2026-11-20T10:00:00.000Z", "revoked_at": nil, "last_used_at": nil, "version": 1.0, "replayed": false,
		"spent": "0.000000", "hint": text[:4] + text[len(text)-4:],
	} {
		if got := made.Fields()[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := fmt.Sprint(made.Fields()["limits"], made.Fields()["model_limits"], made.Fields()["cidrs"], made.Fields()["permissions"], made.Fields()["metadata"]); got !=
		"map[max_in_flight:0 rpd:1000 rpm:60 token_type:total tpd:0 tpm:30000] [map[max_in_flight:0 model:tiny rpd:0 rpm:0 token_type:output tpd:0 tpm:10]] [10.0.0.0/8 ::1/128] [inference] map[team:a]" {
		t.Errorf("the key has %s", got)
	}
	if made.Header.Get("Cache-Control") != "no-store" {
		t.Error("a reply with a key can be cached")
	}

	for _, path := range []string{"/admin/v1/keys", "/admin/v1/keys/" + id} {
		got := s.Call("GET", path, s.Admin, "").Want(200)
		if !strings.Contains(got.Body, id) || strings.Contains(got.Body, text) || strings.Contains(got.Body, `"key":`) {
			t.Errorf("%s shows %s", path, got.Body)
		}
	}
	if _, err := s.Ledger.Authenticate(text); err != nil {
		t.Fatalf("the new key does not work: %v", err)
	}
	gone := s.Call("DELETE", "/admin/v1/keys/"+id, s.Admin, "").Want(200)
	if gone.Text("state") != "revoked" || gone.Text("revoked_at") == "" {
		t.Errorf("revoked key is %s", gone.Body)
	}
	if _, err := s.Ledger.Authenticate(text); err == nil {
		t.Error("a revoked key still works")
	}
	select {
	case told := <-ended:
		if told != id {
			t.Errorf("the end of %s was told, want %s", told, id)
		}
	default:
		t.Error("nobody was told of the revocation")
	}
	s.Call("DELETE", "/admin/v1/keys/"+id, s.Admin, "").Want(200)
	s.Call("DELETE", "/admin/v1/keys/nosuchkey1", s.Admin, "").Want(404)
}

func TestKeysAreListedInPagesAndByFilter(t *testing.T) {
	s := newServer(t)
	for i := range 7 {
		s.Mint(ledger.NewKey{Name: fmt.Sprintf("app-%d", i), Owner: "acme", Models: []string{[]string{"tiny", "large"}[i%2]}})
	}
	s.Mint(ledger.NewKey{Name: "short", Owner: "acme", ExpiresAt: s.Clock().Add(time.Minute)})
	s.Advance(time.Hour)
	var names []string
	for after, pages := "", 0; ; pages++ {
		page := s.Call("GET", "/admin/v1/keys?owner=acme&limit=3&after="+after, s.Admin, "").Want(200)
		for _, key := range page.List("keys") {
			names = append(names, key.(map[string]any)["name"].(string))
		}
		if after = page.Text("next"); after == "" {
			break
		}
		if pages > 5 {
			t.Fatal("the list does not end")
		}
	}
	if got := strings.Join(names, " "); got != "app-0 app-1 app-2 app-3 app-4 app-5 app-6 short" {
		t.Errorf("pages hold %s", got)
	}
	for query, want := range map[string]int{
		"role=admin": 1, "state=expired": 1, "state=active": 9, "state=revoked": 0, "model=large": 3 + 3, "name=app-": 7, "owner=nobody": 0,
	} {
		if got := len(s.Call("GET", "/admin/v1/keys?"+query, s.Admin, "").Want(200).List("keys")); got != want {
			t.Errorf("%s finds %d keys, want %d", query, got, want)
		}
	}
	for query, param := range map[string]string{
		"limit=0": "limit", "limit=1001": "limit", "limit=x": "limit", "state=dead": "state", "role=root": "role",
		"after=nosuchkey1": "after", "page=2": "page", "limit=1&limit=2": "limit",
	} {
		got := s.Call("GET", "/admin/v1/keys?"+query, s.Admin, "").Want(400)
		if got.Param() != param {
			t.Errorf("%s: %s", query, got.Body)
		}
	}
}

func TestNoReplyButTheOneThatMakesAKeyShowsIt(t *testing.T) {
	s := newServer(t)
	text := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"secret keeper"}`).Want(201).Text("key")
	for _, c := range [][3]string{
		{"POST", "/admin/v1/keys", `{"name":"` + text + `","nope":1}`},
		{"POST", "/admin/v1/keys", `{"name":"x","role":"` + text + `"}`},
		{"GET", "/admin/v1/keys?state=" + text, ""},
		{"GET", "/admin/v1/keys/" + text, ""},
		{"GET", "/admin/v1/" + text, ""},
		{"GET", "/admin/v1/accounts/" + text, ""},
		{text, "/admin/v1/keys", ""},
		{"GET", "/admin/v1/keys?after=" + text, ""},
		{"POST", "/admin/v1/keys", `{"name":"x","cidrs":["` + text + `"]}`},
		{"POST", "/admin/v1/keys", `{"name":"x","budget":"` + text + `"}`},
		{"POST", "/admin/v1/keys", `{"name":"x","metadata":{"` + text + text + `":"y"}}`},
		{"POST", "/sdk/api-keys", `{"name":"x","expiresAt":"` + text + `"}`},
	} {
		got := s.Call(c[0], c[1], s.Admin, c[2])
		if got.Status < 400 || strings.Contains(got.Body, text[10:40]) {
			t.Errorf("%v: %d %s", c, got.Status, got.Body)
		}
	}
}

func TestAKeyInTheWrongPlaceDoesNotComeBack(t *testing.T) {
	s := newServer(t)
	s.Call("POST", "/admin/v1/accounts", s.Admin, `{"id":"`+s.Member+`"}`).Want(201)
	for _, misplaced := range []struct{ path, body string }{
		{"/admin/v1/keys", `{"name":"a","metadata":{"` + s.Member + `":"\u0007"}}`},
		{"/admin/v1/accounts", `{"id":"` + s.Member + `"}`},
	} {
		if got := s.Call("POST", misplaced.path, s.Admin, misplaced.body); got.Status/100 != 4 || strings.Contains(got.Body, s.Member) {
			t.Errorf("%s answers %d and the key", misplaced.path, got.Status)
		}
	}
}

// An admin of one owner who could rotate a key for all owners would hold it.
func TestAnAdminOfOneOwnerCannotTakeAKeyForAllOwners(t *testing.T) {
	s := newServer(t)
	root := s.Call("GET", "/admin/v1/me", s.Admin, "").Want(200)
	path, sdk := "/admin/v1/keys/"+root.Text("id"), "/sdk/api-keys/"+root.Text("id")
	lesser := s.Mint(ledger.NewKey{Name: "lesser", Owner: root.Text("owner"), Role: ledger.RoleAdmin})
	s.Call("GET", path, lesser, "").Want(200)
	for _, attempt := range []struct{ method, path, body string }{
		{"POST", path + "/rotate", `{"overlap_seconds":0}`},
		{"PATCH", path, `{"version":1,"cidrs":["10.0.0.0/8"]}`},
		{"DELETE", path, ""},
		{"PUT", sdk, `{"name":"root"}`},
		{"DELETE", sdk, ""},
	} {
		got := s.Call(attempt.method, attempt.path, lesser, attempt.body).Want(403)
		if strings.Contains(got.Body, "pk_") {
			t.Errorf("%s %s shows a key", attempt.method, attempt.path)
		}
	}
	if got := s.Call("GET", path, s.Admin, "").Want(200); got.Number("version") != 1 {
		t.Errorf("the key was changed: %s", got.Body)
	}
	s.Call("POST", path+"/rotate", s.Admin, "").Want(200)
}
