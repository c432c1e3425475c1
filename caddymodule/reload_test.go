package caddymodule

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
)

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
	testkit.Eventually(t, "calls whose connection was lost have ended", func() bool {
		account, _ := g.engine().Ledger.Account("demo")
		return account.Held == 0
	})
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

func TestReloadCutsNoStreamAndChargesItOnce(t *testing.T) {
	permits := make(chan struct{})
	u := newUpstream(t, permits)
	options := demoOptions + "\n\t\tdefault_limits rpm 2"
	site := "penstock_proxy " + u.address()
	g := start(t, options, site)
	key := g.key("demo.key")
	go func() { permits <- struct{}{} }()
	s := g.open(t.Context(), key)
	s.expect("one")
	before := g.engine()
	g.reload(strings.Replace(options, "price request 0.5", "price request 0.25", 1), site)
	if g.engine() != before {
		t.Fatal("the reload made a new engine")
	}
	close(permits)
	if rest, err := s.rest(); err != nil || !strings.HasSuffix(rest, "data: [DONE]\n\n") {
		t.Fatalf("the stream ends with %q, %v", rest, err)
	}
	entries := g.settled()
	if len(entries) != 1 || entries[0].Outcome != ledger.OutcomeOK || entries[0].Amount < ledger.Credit/2 {
		t.Fatalf("the stream's charge: %+v", entries)
	}
	// One of two requests a minute was used before the reload.
	if reply := call(t, "POST", g.url+"/v1/chat/completions", key, chat(false)); reply.status != 200 {
		t.Fatalf("second call: %+v", reply)
	}
	if reply := call(t, "POST", g.url+"/v1/chat/completions", key, chat(false)); reply.status != 429 {
		t.Errorf("third call: %+v", reply)
	}
	if entries = g.settled(); len(entries) != 2 || entries[1].Amount >= ledger.Credit/2 {
		t.Errorf("the new price is not in force: %+v", entries)
	}
	if refs := before.Shares(); refs != 1 {
		t.Errorf("%d configurations hold the engine", refs)
	}
}

func TestReloadToAnotherLedgerLetsTheStreamSettleInTheOldOne(t *testing.T) {
	permits := make(chan struct{})
	u := newUpstream(t, permits)
	site := "penstock_proxy " + u.address()
	g := start(t, demoOptions, site)
	go func() { permits <- struct{}{} }()
	s := g.open(t.Context(), g.key("demo.key"))
	s.expect("one")
	old := g.engine()
	directory := g.data
	g.data = t.TempDir()
	g.reload(demoOptions, site)
	close(permits)
	if rest, err := s.rest(); err != nil || !strings.HasSuffix(rest, "data: [DONE]\n\n") {
		t.Fatalf("the stream ends with %q, %v", rest, err)
	}
	// The last call closes the old ledger.
	testkit.Eventually(t, "the old engine is given back", func() bool { return old.Shares() == 0 })
	g.data = directory
	g.reload(demoOptions, site)
	if entries := g.settled(); len(entries) != 1 || entries[0].Outcome != ledger.OutcomeOK {
		t.Errorf("the stream's charge: %+v", entries)
	}
}

func TestABackgroundRunThatOutlivesItsConfigurationIsCharged(t *testing.T) {
	arrived, stage := make(chan struct{}), make(chan struct{})
	u := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-stage
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"choices":[{"message":{"content":"four"}}],"usage":` + chatUsage + `}`))
	}))
	defer u.Close()
	g := start(t, demoOptions, "penstock_proxy "+strings.TrimPrefix(u.URL, "http://"))
	if reply := call(t, "POST", g.url+"/api/v1/execute/tiny", g.key("demo.key"), `{"data":"hi"}`); reply.status != 200 {
		t.Fatalf("%+v", reply)
	}
	<-arrived
	accounts := g.engine().Ledger
	time.AfterFunc(100*time.Millisecond, func() { close(stage) })
	begin := time.Now()
	stop(t)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if account, ok := accounts.Account("demo"); !ok || account.Spent == 0 || account.Held != 0 {
		t.Errorf("the run was not charged: %+v, %v", account, ok)
	}
}
