package caddymodule

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestOneCallBehindTwoGatesIsChargedOnce(t *testing.T) {
	u := newUpstream(t, nil)
	g := start(t, demoOptions, "penstock\n\tpenstock_proxy "+u.address())
	if reply := call(t, "POST", g.url+"/v1/chat/completions", g.key("demo.key"), chat(false)); reply.status != 200 {
		t.Errorf("got %+v", reply)
	}
	if entries := g.settled(); len(entries) != 1 {
		t.Errorf("%d entries for one call", len(entries))
	}
}

// Callers go on while the configuration is replaced again and again. Every call
// that the upstream saw is charged once, at one of the two prices that were ever
// in force, and what is left of the balance adds up.
func TestReloadsUnderLoadLoseNoCharge(t *testing.T) {
	u := newUpstream(t, nil)
	site := "penstock_proxy " + u.address()
	g := start(t, demoOptions, site)
	key := g.key("demo.key")
	var answered, lost atomic.Int64
	var callers sync.WaitGroup
	done := make(chan struct{})
	for caller := range 6 {
		callers.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				request := newRequest(t, "POST", g.url+"/v1/chat/completions", key, chat((n+caller)%2 == 0))
				reply, err := client.Do(request)
				if err != nil {
					lost.Add(1) // a connection to the server that goes
					continue
				}
				text, err := io.ReadAll(reply.Body)
				reply.Body.Close()
				if err != nil || reply.StatusCode != 200 || !strings.Contains(string(text), "three") {
					t.Errorf("status %d, %v: %s", reply.StatusCode, err, text)
					return
				}
				answered.Add(1)
			}
		})
	}
	const reloads = 20
	prices := []string{"0.02", "0.01"}
	for n := range reloads {
		g.reload(strings.Replace(demoOptions, "0.5", prices[n%2], 1), site)
		time.Sleep(10 * time.Millisecond)
	}
	close(done)
	callers.Wait()
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
		if account, _ := g.engine().Ledger.Account("demo"); account.Held == 0 {
			break // also calls whose connection was lost have ended
		}
	}
	var spent ledger.Micro
	var charged int64
	for after, more := int64(0), true; more; {
		entries, err := g.engine().Ledger.Entries(t.Context(), after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if entry.Kind == ledger.KindSettle {
				charged++
				spent += entry.Amount
			}
			after = entry.Sequence
		}
		more = len(entries) > 0
	}
	if charged != u.calls.Load() {
		t.Errorf("%d charges for %d calls that the upstream saw (%d answered, %d connections lost)", charged, u.calls.Load(), answered.Load(), lost.Load())
	}
	if answered.Load() < reloads {
		t.Errorf("only %d calls were answered: the test shows nothing", answered.Load())
	}
	account, _ := g.engine().Ledger.Account("demo")
	if account.Spent != spent || account.Held != 0 || account.Available != 100*ledger.Credit-spent {
		t.Errorf("the account is %+v after charges of %s", account, spent)
	}
	if refs := g.engine().Shares(); refs != 1 {
		t.Errorf("%d configurations hold the engine", refs)
	}
}
