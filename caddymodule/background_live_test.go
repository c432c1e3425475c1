package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The access log reads what a request's context holds while its run goes on: the
// race detector sees it if they share it.
func TestABackgroundRunSharesNothingWithTheAccessLog(t *testing.T) {
	u := newUpstream(t, nil)
	g := start(t, demoOptions, "log {\n\toutput discard\n}\npenstock_proxy "+u.address())
	key := g.key("demo.key")
	for range 40 {
		if reply := call(t, "POST", g.url+"/api/v1/execute/tiny", key, `{"data":"hi"}`); reply.status != 200 {
			t.Fatalf("%+v", reply)
		}
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
	ledger := g.engine().Ledger
	time.AfterFunc(100*time.Millisecond, func() { close(stage) })
	begin := time.Now()
	stop(t)
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if account, ok := ledger.Account("demo"); !ok || account.Spent == 0 || account.Held != 0 {
		t.Errorf("the run was not charged: %+v, %v", account, ok)
	}
}
