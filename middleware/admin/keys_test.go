package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestAKeyIsMadeShownOnceListedAndRevoked(t *testing.T) {
	ended := make(chan string, 1)
	s := newServer(t, WithDefaultLimits(ledger.Limits{RPM: 60, TPM: 30000}), WithRevoked(func(id string) { ended <- id }))
	made := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"team-a","owner":"acme","models":["tiny"],
		"limits":{"rpd":1000},"model_limits":[{"model":"tiny","tpm":10,"token_type":"output"}],"budget":"12.5",
		"expires_at":"2030-01-01T00:00:00Z","metadata":{"team":"a"},"scopes":["inference"],"cidrs":["10.1.2.3/8","::1"]}`).want(201)
	text, id := made.text("key"), made.text("id")
	if !strings.HasPrefix(text, "pk_m_") || !strings.Contains(text, id) {
		t.Fatalf("the reply shows no key: %s", made.body)
	}
	for name, want := range map[string]any{
		"name": "team-a", "owner": "acme", "role": "member", "state": "active", "budget": "12.500000", "budget_micro": 12.5e6,
		"expires_at": "2030-01-01T00:00:00.000Z", "created_at": "2026-11-20T10:00:00.000Z", "revoked_at": nil, "version": 1.0,
		"spent": "0.000000", "hint": text[:4] + text[len(text)-4:],
	} {
		if got := made.fields()[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if got := fmt.Sprint(made.fields()["limits"], made.fields()["model_limits"], made.fields()["cidrs"], made.fields()["scopes"], made.fields()["metadata"]); got !=
		"map[max_in_flight:0 rpd:1000 rpm:60 token_type:total tpd:0 tpm:30000] [map[max_in_flight:0 model:tiny rpd:0 rpm:0 token_type:output tpd:0 tpm:10]] [10.0.0.0/8 ::1/128] [inference] map[team:a]" {
		t.Errorf("the key has %s", got)
	}
	if made.header.Get("Cache-Control") != "no-store" {
		t.Error("a reply with a key can be cached")
	}

	for _, path := range []string{"/admin/v1/keys", "/admin/v1/keys/" + id} {
		got := s.call("GET", path, s.admin, "").want(200)
		if !strings.Contains(got.body, id) || strings.Contains(got.body, text) || strings.Contains(got.body, `"key":`) {
			t.Errorf("%s shows %s", path, got.body)
		}
	}
	if _, err := s.ledger.Authenticate(text); err != nil {
		t.Fatalf("the new key does not work: %v", err)
	}
	gone := s.call("DELETE", "/admin/v1/keys/"+id, s.admin, "").want(200)
	if gone.text("state") != "revoked" || gone.text("revoked_at") == "" {
		t.Errorf("revoked key is %s", gone.body)
	}
	if _, err := s.ledger.Authenticate(text); err == nil {
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
	s.call("DELETE", "/admin/v1/keys/"+id, s.admin, "").want(200)
	s.call("DELETE", "/admin/v1/keys/nosuchkey1", s.admin, "").want(404)
}

func TestKeysAreListedInPagesAndByFilter(t *testing.T) {
	s := newServer(t)
	for i := range 7 {
		s.mint(ledger.NewKey{Name: fmt.Sprintf("app-%d", i), Owner: "acme", Models: []string{[]string{"tiny", "large"}[i%2]}})
	}
	s.mint(ledger.NewKey{Name: "short", Owner: "acme", ExpiresAt: s.clock().Add(time.Minute)})
	s.advance(time.Hour)
	var names []string
	for after, pages := "", 0; ; pages++ {
		page := s.call("GET", "/admin/v1/keys?owner=acme&limit=3&after="+after, s.admin, "").want(200)
		for _, key := range page.list("keys") {
			names = append(names, key.(map[string]any)["name"].(string))
		}
		if after = page.text("next"); after == "" {
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
		if got := len(s.call("GET", "/admin/v1/keys?"+query, s.admin, "").want(200).list("keys")); got != want {
			t.Errorf("%s finds %d keys, want %d", query, got, want)
		}
	}
	for query, param := range map[string]string{
		"limit=0": "limit", "limit=1001": "limit", "limit=x": "limit", "state=dead": "state", "role=root": "role",
		"after=nosuchkey1": "after", "page=2": "page", "limit=1&limit=2": "limit",
	} {
		got := s.call("GET", "/admin/v1/keys?"+query, s.admin, "").want(400)
		if got.object("error")["param"] != param {
			t.Errorf("%s: %s", query, got.body)
		}
	}
}

func TestWhoMayCallWhat(t *testing.T) {
	s := newServer(t)
	acme := s.mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	theirs := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"x","owner":"other"}`).want(201).text("id")
	for name, c := range map[string]struct {
		method, path, key, body string
		status                  int
		code                    string
	}{
		"no key":                 {"GET", "/admin/v1/keys", "", "", 401, "invalid_api_key"},
		"unknown key":            {"GET", "/admin/v1/keys", "pk_a_nonsense", "", 401, "invalid_api_key"},
		"member lists":           {"GET", "/admin/v1/keys", s.member, "", 403, "admin_key_required"},
		"member creates":         {"POST", "/admin/v1/keys", s.member, `{"name":"x"}`, 403, "admin_key_required"},
		"member tops up":         {"POST", "/admin/v1/accounts/default/topups", s.member, `{"amount":1}`, 403, "admin_key_required"},
		"owner's admin tops up":  {"POST", "/admin/v1/accounts/acme/topups", acme, `{"amount":1}`, 403, "all_owners_required"},
		"admin of another owner": {"DELETE", "/admin/v1/keys/" + theirs, acme, "", 404, "key_not_found"},
		"creates for another":    {"POST", "/admin/v1/keys", acme, `{"name":"x","owner":"other"}`, 403, "other_owner"},
		"creates a master":       {"POST", "/admin/v1/keys", acme, `{"name":"x","role":"admin","all_owners":true}`, 403, "other_owner"},
		"lists another":          {"GET", "/admin/v1/keys?owner=other", acme, "", 403, "other_owner"},
		"cursor of another":      {"GET", "/admin/v1/keys?after=" + theirs, acme, "", 400, "invalid_value"},
		"sees another's account": {"GET", "/admin/v1/accounts/other", acme, "", 404, "account_not_found"},
		"no such path":           {"GET", "/admin/v2/keys", s.admin, "", 404, "route_not_found"},
		"no such method":         {"PUT", "/admin/v1/keys", s.admin, "", 405, "method_not_allowed"},
		"half an escape":         {"GET", "/admin/v1/keys/%2", s.admin, "", 400, ""},
	} {
		got := s.call(c.method, strings.ReplaceAll(c.path, "%2", "%252"), c.key, c.body, "Idempotency-Key", "x")
		if name == "half an escape" {
			continue // net/http refuses it before any handler does
		}
		if got.status != c.status || got.errorCode() != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, got.status, got.body, c.status, c.code)
		}
	}
	own := s.call("POST", "/admin/v1/keys", acme, `{"name":"mine"}`).want(201)
	if own.text("owner") != "acme" {
		t.Errorf("an owner's admin made a key of %s", own.text("owner"))
	}
	demo := s.mint(ledger.NewKey{Name: "demo admin", Owner: "demo", Role: ledger.RoleAdmin, AllOwners: true})
	if got := s.call("POST", "/admin/v1/keys", demo, `{"name":"mine"}`).want(201); got.text("owner") != "demo" {
		t.Errorf("an admin of all owners made a key of %s, want its own owner", got.text("owner"))
	}
	if got := s.call("GET", "/admin/v1/keys", acme, "").want(200).list("keys"); len(got) != 2 {
		t.Errorf("an owner's admin sees %d keys, want its 2", len(got))
	}
}

func TestKeysComeInEveryHeaderThatClientsUse(t *testing.T) {
	s := newServer(t)
	for _, header := range [][2]string{
		{"Authorization", "Bearer " + s.admin},
		{"Authorization", "bearer " + s.admin},
		{"Authorization", "Token " + s.admin},
		{"Authorization", "token " + s.admin},
		{"X-Api-Key", s.admin},
		{"Api-Key", s.admin},
	} {
		s.call("GET", "/admin/v1/keys", "", "", header[0], header[1]).want(200)
	}
	s.call("GET", "/admin/v1/keys", "", "", "Authorization", "Basic "+s.admin).want(401)
}

func TestAKeyIsHeldToItsNetworksHereToo(t *testing.T) {
	address := netip.MustParseAddr("10.1.2.3")
	s := newServer(t, WithClientAddress(func(*http.Request) netip.Addr { return address }))
	bound := s.mint(ledger.NewKey{Name: "a", Role: ledger.RoleAdmin, AllOwners: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	s.call("GET", "/admin/v1/keys", bound, "").want(200)
	address = netip.MustParseAddr("::ffff:10.1.2.3")
	s.call("GET", "/admin/v1/keys", bound, "").want(200)
	for _, outside := range []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), {}} {
		address = outside
		if got := s.call("GET", "/admin/v1/keys", bound, "").want(403); got.errorCode() != "network_not_allowed" {
			t.Error(got.body)
		}
	}
}

func TestSlashesAreNeverRedirected(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/admin/v1/keys/", "//admin/v1/keys", "/admin//v1/keys"} {
		s.call("POST", path, s.admin, `{"name":"a"}`).want(201)
	}
}

func TestUnknownExpiredAndRevokedKeysLookTheSame(t *testing.T) {
	s := newServer(t)
	expired := s.mint(ledger.NewKey{Name: "a", Role: ledger.RoleAdmin, ExpiresAt: s.clock().Add(time.Minute)})
	made := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"b","role":"admin"}`).want(201)
	s.call("DELETE", "/admin/v1/keys/"+made.text("id"), s.admin, "").want(200)
	s.advance(time.Hour)
	var bodies []string
	for _, key := range []string{"", "nonsense", expired, made.text("key")} {
		got := s.call("GET", "/admin/v1/keys", key, "").want(401)
		bodies = append(bodies, strings.ReplaceAll(got.body, got.header.Get("X-Request-Id"), "ID"))
	}
	for _, body := range bodies[1:] {
		if body != bodies[0] {
			t.Errorf("%s differs from %s", body, bodies[0])
		}
	}
}

func TestTheConfiguredKeyManagesAllOwners(t *testing.T) {
	const text = "correct horse battery staple"
	s := newServer(t, WithAdminKeySHA256(sha256Of(text)))
	s.call("POST", "/admin/v1/keys", text, `{"name":"first","role":"admin","all_owners":true}`).want(201)
	s.call("GET", "/admin/v1/keys", text+"x", "").want(401)
}

func TestFailuresToAuthenticateAreThrottledByAddress(t *testing.T) {
	s := newServer(t)
	for range failureBurst {
		s.call("GET", "/admin/v1/keys", "wrong", "").want(401)
	}
	got := s.call("GET", "/admin/v1/keys", s.admin, "").want(429)
	if got.errorCode() != "too_many_failures" || got.header.Get("Retry-After") != "6" || got.number("retry_after_ms") != 6000 {
		t.Errorf("%v %s", got.header, got.body)
	}
	s.advance(failureInterval)
	s.call("GET", "/admin/v1/keys", s.admin, "").want(200)
}

func TestNoReplyButTheOneThatMakesAKeyShowsIt(t *testing.T) {
	s := newServer(t)
	text := s.call("POST", "/admin/v1/keys", s.admin, `{"name":"secret keeper"}`).want(201).text("key")
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
		got := s.call(c[0], c[1], s.admin, c[2])
		if got.status < 400 || strings.Contains(got.body, text[10:40]) {
			t.Errorf("%v: %d %s", c, got.status, got.body)
		}
	}
}
