package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// provisioned provisions a configuration that is never started, as when its servers
// start first and another app holds the rest up. The test ends with its cleanup.
func provisioned(t *testing.T, g *gateway, options string) (*App, *Gate) {
	t.Helper()
	var config caddy.Config
	if err := json.Unmarshal(toJSON(t, g.config(options, "penstock")), &config); err != nil {
		t.Fatal(err)
	}
	delete(config.AppsRaw, "http")
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		t.Fatal(err)
	}
	gate := new(Gate)
	if err := gate.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return gate.app, gate
}

// serve takes a chat through a gate to an upstream that answers at once.
func serve(t *testing.T, gate *Gate, key string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/chat/completions", strings.NewReader(chat(false)))
	r.Header.Set("Authorization", "Bearer "+key)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
	err := gate.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write([]byte(`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`))
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestCallsBeforeTheAppStartedRunAtTheNewPrices(t *testing.T) {
	const before, after = "\n\t\tbootstrap demo\n\t\tmodel tiny {\n\t\t\tprice request 1\n\t\t}", "\n\t\tmodel tiny {\n\t\t\tprice request 7\n\t\t}"
	g := start(t, before, "penstock")
	key := g.key("demo.key")
	next, gate := provisioned(t, g, after)
	if w := serve(t, gate, key); w.Code != 200 || w.Header().Get("X-Penstock-Credits-Charged") != "7.000000" {
		t.Errorf("a call before the start: %d, charged %q", w.Code, w.Header().Get("X-Penstock-Credits-Charged"))
	}

	// Another app fails to start: this one is cleaned up without having started.
	if err := next.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if price := g.engine().Ledger.Price("tiny").Request; price.String() != "1.000000" {
		t.Errorf("after the failure the price is %s", price)
	}
}

func TestACallThatComesTooLateBringsNoPricesBack(t *testing.T) {
	g := start(t, demoOptions, "penstock")
	want := g.engine().Ledger.Price("tiny")
	next, _ := provisioned(t, g, "\n\t\tmodel tiny {\n\t\t\tprice request 7\n\t\t}")
	if err := next.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if err := next.begin(); err == nil {
		t.Error("a configuration came into force after its cleanup")
	}
	if got := g.engine().Ledger.Price("tiny"); got != want {
		t.Errorf("the price is %+v, want %+v", got, want)
	}
}
