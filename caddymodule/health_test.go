package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTheHealthNeedsNoKeyAndSaysHowTheGatewayIs(t *testing.T) {
	dies, lives := newUpstream(t, nil), newUpstream(t, nil)
	g := start(t, demoOptions, fmt.Sprintf("basic_auth {\n\tx $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\npenstock_health\npenstock_proxy %s %s",
		dies.address(), lives.address()))
	ask := func(method, path string, status int, body string) {
		t.Helper()
		if reply := call(t, method, g.url+path, "", ""); reply.status != status || strings.TrimSpace(reply.body) != body {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, reply.status, reply.body, status, body)
		}
	}
	ask("GET", "/health", 200, `{"status":"ok"}`)
	ask("GET", "/health/ready", 200, `{"status":"ok"}`)
	ask("HEAD", "/health", 200, "")
	ask("POST", "/health", 405, "")
	if reply := call(t, "GET", g.url+"/healthy", "", ""); reply.status != 401 {
		t.Errorf("another path: %d", reply.status)
	}

	g.reload(demoOptions, fmt.Sprintf("penstock_health /up\npenstock_proxy %s %s {\n\tlb_policy penstock weighted_random\n}", dies.address(), lives.address()))
	dies.Close()
	for range 20 { // finds out that an upstream is gone
		call(t, "POST", g.url+"/v1/chat/completions", g.key("demo.key"), chat(false))
	}
	ask("GET", "/up", 200, `{"status":"degraded","reasons":["upstream_failing"]}`)
	lives.Close()
	for range 3 {
		call(t, "POST", g.url+"/v1/chat/completions", g.key("demo.key"), chat(false))
	}
	ask("GET", "/up", 200, `{"status":"degraded","reasons":["no_upstream"]}`)

	// A ledger that has ended admits nothing.
	if err := g.engine().Ledger.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask("GET", "/up/ready", 503, `{"status":"unavailable","reasons":["ledger_unavailable"]}`)
	ask("GET", "/up/live", 200, `{"status":"ok"}`)
}

func TestTheHealthGivesTheReasonsOfAllPolicies(t *testing.T) {
	dead, lives := newUpstream(t, nil), newUpstream(t, nil)
	dead.Close()
	for name, sites := range map[string][2]string{
		"the worse first": {dead.address(), dead.address() + " " + lives.address()},
		"the worse last":  {dead.address() + " " + lives.address(), dead.address()},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, demoOptions, fmt.Sprintf("penstock_health\nhandle_path /a/* {\n\tpenstock_proxy %s {\n\t\tlb_policy penstock weighted_random\n\t}\n}\nhandle_path /b/* {\n\tpenstock_proxy %s {\n\t\tlb_policy penstock weighted_random\n\t}\n}",
				sites[0], sites[1]))
			for range 20 { // finds out which upstreams are gone
				call(t, "POST", g.url+"/a/v1/chat/completions", g.key("demo.key"), chat(false))
				call(t, "POST", g.url+"/b/v1/chat/completions", g.key("demo.key"), chat(false))
			}
			reply := call(t, "GET", g.url+"/health", "", "")
			if want := `{"status":"degraded","reasons":["no_upstream","upstream_failing"]}`; reply.status != 200 || strings.TrimSpace(reply.body) != want {
				t.Errorf("%d %s, want %s", reply.status, reply.body, want)
			}
		})
	}
}

func TestTheHealthTellsOfActiveHealthChecks(t *testing.T) {
	u := newUpstream(t, nil) // answers health checks with 400: they are no chat calls
	g := start(t, demoOptions, fmt.Sprintf("penstock_health\npenstock_proxy %s {\n\thealth_uri /health\n\thealth_interval 10ms\n}", u.address()))
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
		reply := call(t, http.MethodGet, g.url+"/health", "", "")
		if strings.Contains(reply.body, reasonNone) {
			return
		}
	}
	t.Error("the health does not tell of an upstream that a health check took out")
}
