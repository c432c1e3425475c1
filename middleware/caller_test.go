package middleware_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

func TestAKeyIsHeldToItsPermissionsAndNetworks(t *testing.T) {
	const (
		ask   = `{"model":"tiny","messages":[]}`
		embed = `{"model":"tiny","input":"x"}`
	)
	h := build(t, chat, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "tiny"}),
		middleware.WithAllowUnmetered("/search"), middleware.WithFixedCost("/documents", 10))
	for name, test := range map[string]struct {
		key    ledger.NewKey
		status map[string]int
	}{
		"no limit":   {ledger.NewKey{}, map[string]int{"/v1/chat/completions": 200, "/search": 200, "/documents": 200}},
		"inference":  {ledger.NewKey{Permissions: []string{middleware.PermissionInference}}, map[string]int{"/v1/chat/completions": 200, "/v1/messages": 200, "/api/infer": 200, "/v1/embeddings": 403, "/v1/rerank": 403, "/search": 403, "/documents": 403}},
		"embeddings": {ledger.NewKey{Permissions: []string{middleware.PermissionEmbeddings}}, map[string]int{"/v1/chat/completions": 403, "/api/embed": 200, "/v1/embeddings": 200, "/search": 403}},
		"rag":        {ledger.NewKey{Permissions: []string{middleware.PermissionRAG}}, map[string]int{"/v1/chat/completions": 403, "/v1/rerank": 200, "/search": 200, "/documents": 200}},
		"both":       {ledger.NewKey{Permissions: []string{middleware.PermissionRAG, middleware.PermissionInference}}, map[string]int{"/v1/chat/completions": 200, "/search": 200, "/v1/embeddings": 403}},
		"this network": {
			ledger.NewKey{CIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}},
			map[string]int{"/v1/chat/completions": 200, "/search": 200},
		},
		"another network": {
			ledger.NewKey{CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			map[string]int{"/v1/chat/completions": 403, "/search": 403},
		},
	} {
		_, text := h.newKey(test.key, 100)
		for path, want := range test.status {
			body := ask
			if path == "/v1/embeddings" || path == "/api/embed" {
				body = embed
			}
			got := h.do("POST", path, body, "Authorization", "Bearer "+text)
			if (got.status == 403) != (want == 403) {
				t.Errorf("%s on %s: %d %s, want %d", name, path, got.status, got.body, want)
			}
		}
	}
}

func TestAPausedKeyAndAFrozenAccountAreRefusedWithTheirReason(t *testing.T) {
	const ask = `{"model":"tiny","messages":[]}`
	h := build(t, chat, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "tiny"}), middleware.WithAllowUnmetered("/search"))
	yes, no := true, false
	for code, change := range map[string]func(on *bool) error{
		"key_paused": func(on *bool) error {
			_, err := h.ledger.UpdateKey(t.Context(), h.key.ID, 0, ledger.KeyPatch{Paused: on})
			return err
		},
		"account_frozen": func(on *bool) error {
			_, err := h.ledger.UpdateAccount(t.Context(), h.key.Owner, ledger.AccountPatch{Frozen: on})
			return err
		},
	} {
		before := h.account()
		if err := change(&yes); err != nil {
			t.Fatal(err)
		}
		for path, body := range map[string]string{"/v1/chat/completions": ask, "/api/infer": ask, "/search": ""} {
			got := h.post(path, body)
			if got.status != 403 || path != "/api/infer" && !strings.Contains(got.body, code) || got.header.Get("X-Should-Retry") != "false" {
				t.Errorf("%s on %s: %d %s", code, path, got.status, got.body)
			}
		}
		if after := h.account(); after.Available != before.Available || after.Held != 0 {
			t.Errorf("%s: %+v became %+v", code, before, after)
		}
		if err := change(&no); err != nil {
			t.Fatal(err)
		}
		if got := h.post("/v1/chat/completions", ask); got.status != 200 {
			t.Errorf("after %s: %d %s", code, got.status, got.body)
		}
	}
}
