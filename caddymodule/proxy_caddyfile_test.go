package caddymodule

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/testkit"
)

func TestDemoKeyCallsThroughTheProxy(t *testing.T) {
	u := newUpstream(t, nil)
	g := start(t, demoOptions, "penstock_proxy "+u.address())
	key := g.key("demo.key")

	reply := call(t, "POST", g.url+"/v1/chat/completions", key, chat(false))
	if reply.status != 200 || !strings.Contains(reply.body, "one two three") {
		t.Fatalf("chat: %+v", reply)
	}
	reply = call(t, "POST", g.url+"/api/infer", key, `{"prompt":"Count."}`)
	var inferred struct {
		Text      string
		TokensIn  int `json:"tokens_in"`
		TokensOut int `json:"tokens_out"`
	}
	if err := json.Unmarshal([]byte(reply.body), &inferred); err != nil || inferred.Text != "one two three" || inferred.TokensIn != 7 || inferred.TokensOut != 3 {
		t.Fatalf("infer: %+v, %v", reply, err)
	}
	reply = call(t, "POST", g.url+"/v1/chat/completions", key, chat(true))
	if reply.status != 200 || !strings.HasSuffix(reply.body, "data: [DONE]\n\n") {
		t.Fatalf("stream: %+v", reply)
	}
	if charged := reply.header.Get("X-Penstock-Credits-Charged"); !strings.HasPrefix(charged, "0.5") {
		t.Errorf("the stream's trailer says %q", charged)
	}
	if entries := g.settled(); len(entries) != 3 {
		t.Errorf("%d entries for 3 calls: %+v", len(entries), entries)
	}
	for range 3 {
		header := <-u.seen
		if text := fmt.Sprint(header); strings.Contains(text, key) {
			t.Error("the upstream saw the caller's key")
		}
	}
}

func TestANamedRouteForwards(t *testing.T) {
	u := newUpstream(t, nil)
	for name, route := range map[string]string{
		"alone":                  "penstock_proxy %s",
		"with a matcher":         "penstock_proxy /v1/* %s",
		"in a block route":       "route {\n\tpenstock_proxy %s\n}",
		"behind another":         "header X-Named yes\npenstock_proxy %s",
		"of two, one narrower":   "penstock_proxy %[1]s\n@never path /never\npenstock_proxy @never %[1]s",
		"through reverse_proxy":  "penstock_proxy %s {\n\tflush_interval -1\n}",
		"behind another gateway": "penstock_health\npenstock_proxy %s",
	} {
		t.Run(name, func(t *testing.T) {
			g := &gateway{t: t, data: t.TempDir(), address: testkit.FreeAddress(t)}
			mustLoad(t, "%s&(ai) {\n%s\n}\n", g.config(demoOptions, "invoke ai"), fmt.Sprintf(route, u.address()))
			reply := call(t, "POST", "http://"+g.address+"/v1/chat/completions", g.key("demo.key"), chat(false))
			if reply.status != 200 || !strings.Contains(reply.body, "one two three") {
				t.Errorf("%+v", reply)
			}
		})
	}
}
