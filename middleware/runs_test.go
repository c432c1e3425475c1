package middleware_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/dialect"
)

func TestABackgroundRunIsPolled(t *testing.T) {
	stage := make(chan struct{})
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		<-stage
		if r.Header.Get("X-Fail") != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "loading")
			return
		}
		io.WriteString(w, chatReply)
	}, ledger.NewKey{})
	_, other := h.newKey(ledger.NewKey{}, 0)
	for _, fail := range []string{"", "yes"} {
		started := h.post("/api/v1/execute/tiny", `{"data":"Hello"}`, "X-Fail", fail)
		var run struct {
			Status, Data string
			Completed    bool
		}
		if err := json.Unmarshal([]byte(started.body), &run); err != nil || run.Status != "IN_PROGRESS" || run.Completed {
			t.Fatalf("%s: %v", started.body, err)
		}
		path := strings.TrimPrefix(run.Data, h.gateway.URL)
		if !strings.HasPrefix(path, "/api/v1/data/") {
			t.Fatalf("address %s", run.Data)
		}
		if got := h.do("GET", path, "", "X-Api-Key", h.text); got.body != `{"status":"IN_PROGRESS","completed":false}` {
			t.Errorf("%d %s", got.status, got.body)
		}
		if got := h.do("GET", path, "", "X-Api-Key", other); got.status != 404 {
			t.Errorf("another key: %d %s", got.status, got.body)
		}
		stage <- struct{}{}
		var got answer
		for range 1000 {
			if got = h.do("GET", path, "", "X-Api-Key", h.text); !strings.Contains(got.body, "IN_PROGRESS") {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if fail == "" && !strings.HasPrefix(got.body, `{"status":"SUCCESS","completed":true,"data":"four"`) {
			t.Errorf("%d %s", got.status, got.body)
		}
		if fail != "" && got.body != `{"status":"FAILED","completed":true,"statusCode":503,"message":"the upstream is busy","error":"the upstream is busy"}` {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if account := h.account(); account.Spent == 0 || account.Held != 0 {
		t.Errorf("%+v", account)
	}
}

func TestBackgroundRunsAreBounded(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{}, middleware.WithRuns(middleware.NewRuns(1)))
	if got := h.post("/api/v1/execute/tiny", `{"data":"Hello"}`); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := h.post("/api/v1/execute/tiny", `{"data":"Hello"}`); got.status != 503 {
		t.Errorf("%d %s", got.status, got.body)
	}
	close(stage.send)
	h.reports.nth(t, 2)
	if got := h.post("/api/v1/execute/tiny", `{"data":"Hello"}`); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.reports.nth(t, 3)
}

// The handlers around a gate read the first answer's headers, for their logs,
// while the run goes on.
func TestABackgroundRunDoesNotWriteToItsFirstAnswer(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Limits: []limits.Row{{RPM: 5}}})
	var hours time.Duration // that the gate's clock is ahead
	gate := middleware.New(h.ledger, h.limiter, middleware.WithDialect(dialect.Anthropic), middleware.WithObserver(h.reports),
		middleware.WithClock(func() time.Time { return time.Now().Add(hours * time.Hour) }))
	stage := make(chan struct{})
	handler := gate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-stage
		hours = 1
		chat(w, r)
	}))
	request := httptest.NewRequest("POST", "/api/v1/execute/tiny", strings.NewReader(`{"data":"Hello"}`))
	request.Header.Set("X-Api-Key", h.text)
	first := httptest.NewRecorder()
	handler.ServeHTTP(first, request)
	reset := first.Header().Get("Anthropic-Ratelimit-Requests-Reset")
	close(stage)
	h.reports.nth(t, 1)
	if now := first.Header().Get("Anthropic-Ratelimit-Requests-Reset"); reset == "" || now != reset {
		t.Errorf("the first answer said %q, and says %q now", reset, now)
	}
}
