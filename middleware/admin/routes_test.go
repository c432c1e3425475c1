package admin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/admintest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

func TestEveryRouteIsDescribed(t *testing.T) {
	s := newServer(t, WithAlerts(new(alerts.Monitor)))
	got := s.Call("GET", "/admin/openapi.json", "", "").Want(200)
	if got.Text("openapi") != "3.1.0" || got.Header.Get("Content-Type") != "application/json" {
		t.Error(got.Body[:100])
	}
	routes := s.handler.routes()
	for i := range routes {
		route := &routes[i]
		if route.Summary == "" || route.Reply == nil || route.ID == "" || route.Tag == "" {
			t.Errorf("%s %s has no description", route.Method, route.Path)
		}
		if admintest.At(got.Fields(), "paths", route.Path, strings.ToLower(route.Method), "responses") == nil {
			t.Errorf("%s %s is not in the document", route.Method, route.Path)
		}
	}
}

// Every member of a described request is known to its handler, and no handler
// takes one that is not described.
func TestRequestsAreReadAsTheyAreDescribed(t *testing.T) {
	s := newServer(t)
	id := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"a"}`).Want(201).Text("id")
	valid := map[string]any{"name": "a", "key": "x", "id": "acme", "amount": 1, "version": 1, "reason": "r", "sha256": strings.Repeat("ab", 32)}
	for _, route := range s.handler.routes() {
		if route.Request == nil {
			continue
		}
		path := strings.ReplaceAll(route.Path, "{id}", map[bool]string{false: id, true: "default"}[strings.Contains(route.Path, "accounts/")])
		members := route.Request["properties"].(schema.Members)
		for _, member := range append(members.Names(), "undescribed", "Name", "key_id") {
			body := map[string]any{}
			for name, value := range valid {
				if members[name] != nil {
					body[name] = value
				}
			}
			body[member] = map[string]any{"x": []int{7}} // of a wrong type, whatever the member
			encoded, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			got := s.Call(route.Method, path, s.Admin, string(encoded), "Idempotency-Key", "k").Want(400)
			unknown := got.ErrorCode() == "unknown_field" && got.Param() == member
			if _, described := members[member]; described == unknown {
				t.Errorf("%s: member %s, described %v: %s", path, member, described, got.Body)
			}
		}
	}
}

func TestWhoMayCallWhat(t *testing.T) {
	s := newServer(t)
	acme := s.Mint(ledger.NewKey{Name: "acme admin", Owner: "acme", Role: ledger.RoleAdmin})
	theirs := s.Call("POST", "/admin/v1/keys", s.Admin, `{"name":"x","owner":"other"}`).Want(201).Text("id")
	for name, c := range map[string]struct {
		method, path, key, body string
		status                  int
		code                    string
	}{
		"no key":                 {"GET", "/admin/v1/keys", "", "", 401, "invalid_api_key"},
		"unknown key":            {"GET", "/admin/v1/keys", "pk_a_nonsense", "", 401, "invalid_api_key"},
		"member lists":           {"GET", "/admin/v1/keys", s.Member, "", 403, "admin_key_required"},
		"member creates":         {"POST", "/admin/v1/keys", s.Member, `{"name":"x"}`, 403, "admin_key_required"},
		"member tops up":         {"POST", "/admin/v1/accounts/default/topups", s.Member, `{"amount":1}`, 403, "admin_key_required"},
		"owner's admin tops up":  {"POST", "/admin/v1/accounts/acme/topups", acme, `{"amount":1}`, 403, "all_owners_required"},
		"admin of another owner": {"DELETE", "/admin/v1/keys/" + theirs, acme, "", 404, "key_not_found"},
		"creates for another":    {"POST", "/admin/v1/keys", acme, `{"name":"x","owner":"other"}`, 403, "other_owner"},
		"creates a master":       {"POST", "/admin/v1/keys", acme, `{"name":"x","role":"admin","all_owners":true}`, 403, "other_owner"},
		"lists another":          {"GET", "/admin/v1/keys?owner=other", acme, "", 403, "other_owner"},
		"cursor of another":      {"GET", "/admin/v1/keys?after=" + theirs, acme, "", 400, "invalid_value"},
		"sees another's account": {"GET", "/admin/v1/accounts/other", acme, "", 404, "account_not_found"},
		"no such path":           {"GET", "/admin/v2/keys", s.Admin, "", 404, "route_not_found"},
		"no such method":         {"PUT", "/admin/v1/keys", s.Admin, "", 405, "method_not_allowed"},
		"half an escape":         {"GET", "/admin/v1/keys/%2", s.Admin, "", 400, ""},
	} {
		got := s.Call(c.method, strings.ReplaceAll(c.path, "%2", "%252"), c.key, c.body, "Idempotency-Key", "x")
		if name == "half an escape" {
			continue // net/http refuses it before any handler does
		}
		if got.Status != c.status || got.ErrorCode() != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, got.Status, got.Body, c.status, c.code)
		}
	}
	own := s.Call("POST", "/admin/v1/keys", acme, `{"name":"mine"}`).Want(201)
	if own.Text("owner") != "acme" {
		t.Errorf("an owner's admin made a key of %s", own.Text("owner"))
	}
	demo := s.Mint(ledger.NewKey{Name: "demo admin", Owner: "demo", Role: ledger.RoleAdmin, AllOwners: true})
	if got := s.Call("POST", "/admin/v1/keys", demo, `{"name":"mine"}`).Want(201); got.Text("owner") != "demo" {
		t.Errorf("an admin of all owners made a key of %s, want its own owner", got.Text("owner"))
	}
	if got := s.Call("GET", "/admin/v1/keys", acme, "").Want(200).List("keys"); len(got) != 2 {
		t.Errorf("an owner's admin sees %d keys, want its 2", len(got))
	}
}

func TestSlashesAreNeverRedirected(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/admin/v1/keys/", "//admin/v1/keys", "/admin//v1/keys"} {
		s.Call("POST", path, s.Admin, `{"name":"a"}`).Want(201)
	}
}

func TestWrongMethodsAndPathsAreAnsweredInTheShapeOfTheirRoutes(t *testing.T) {
	s := newServer(t)
	if got := s.Call("PUT", "/admin/v1/me", s.Admin, "").Want(405).Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("the methods of a GET route are %q", got)
	}
	if got := s.Call("GET", "//admin/nope", s.Admin, "").Want(404); got.ErrorCode() != "route_not_found" {
		t.Errorf("a path with two slashes: %s", got.Body)
	}
}
