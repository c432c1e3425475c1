package caddymodule

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
)

func TestACallThatReachedNoUpstreamGoesToAnother(t *testing.T) {
	for name, site := range map[string]string{
		"default policy": "penstock_proxy %s %s",
		"other policy":   "penstock_proxy %s %s {\n\tlb_policy round_robin\n}",
	} {
		t.Run(name, func(t *testing.T) {
			dies, lives := newUpstream(t, nil), newUpstream(t, nil)
			g := start(t, demoOptions, fmt.Sprintf(site, dies.address(), lives.address()))
			key := g.key("demo.key")
			for range 10 { // leaves connections to both
				call(t, "POST", g.url+"/v1/chat/completions", key, chat(false))
			}
			dies.Close()
			// A call that is written to a connection in the moment in which the other side
			// closes it may have reached the upstream, and fails: wait until these are seen.
			time.Sleep(500 * time.Millisecond)
			var callers sync.WaitGroup
			for range 10 {
				callers.Go(func() {
					for range 10 {
						reply := call(t, "POST", g.url+"/v1/chat/completions", key, chat(false))
						if reply.status != 200 || !strings.Contains(reply.body, "one two three") {
							t.Errorf("%d %s", reply.status, reply.body)
						}
					}
				})
			}
			callers.Wait()
			if entries := g.settled(); len(entries) != 110 {
				t.Errorf("%d entries for 110 calls", len(entries))
			}
		})
	}
}

func TestAnUpstreamThatCannotServeGetsFewCalls(t *testing.T) {
	// A server that loads its model answers at once, so it never has a call in flight.
	loads := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":{"message":"Loading model"}}`, http.StatusServiceUnavailable)
	}))
	defer loads.Close()
	// Another accepts connections and closes them, as a forwarder does whose server is gone.
	closes, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer closes.Close()
	go func() {
		for {
			connection, err := closes.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
	for name, address := range map[string]string{
		"loading": strings.TrimPrefix(loads.URL, "http://"), "closing": closes.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			lives := newUpstream(t, nil)
			g := start(t, demoOptions, fmt.Sprintf(`penstock_proxy %s %s {
				lb_policy penstock {
					cool_down 1m
				}
			}`, address, lives.address()))
			failed := 0
			for range 50 {
				if reply := call(t, "POST", g.url+"/v1/chat/completions", g.key("demo.key"), chat(false)); reply.status != 200 {
					failed++
				}
			}
			if failed > 1 {
				t.Errorf("%d of 50 calls failed beside a healthy upstream", failed)
			}
		})
	}
}

func TestTheOnlyUpstreamIsTriedAgainAtOnce(t *testing.T) {
	address := testkit.FreeAddress(t)
	g := start(t, demoOptions, "penstock_proxy "+address)
	key := g.key("demo.key")
	for range 3 {
		if reply := call(t, "POST", g.url+"/v1/chat/completions", key, chat(false)); reply.status < 500 {
			t.Fatalf("no server runs: %d %s", reply.status, reply.body)
		}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	back := httptest.NewUnstartedServer(&upstream{seen: make(chan http.Header, 10)})
	back.Listener.Close()
	back.Listener = listener
	back.Start()
	defer back.Close()
	if reply := call(t, "POST", g.url+"/v1/chat/completions", key, chat(false)); reply.status != 200 {
		t.Errorf("the server is back, but: %d %s", reply.status, reply.body)
	}
}
