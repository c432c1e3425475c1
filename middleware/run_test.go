package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// stage is an upstream that sends what it is told and says when its call was
// cancelled.
type stage struct {
	send      chan string // pieces to send; "abort" resets the connection
	arrived   chan struct{}
	cancelled chan struct{}
}

func newStage() *stage {
	return &stage{send: make(chan string, 100), arrived: make(chan struct{}, 100), cancelled: make(chan struct{}, 100)}
}

func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	s.arrived <- struct{}{}
	for {
		select {
		case <-r.Context().Done():
			s.cancelled <- struct{}{}
			return
		case piece, ok := <-s.send:
			switch {
			case !ok:
				return
			case piece == "abort":
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
	}
}

// within fails the test if nothing comes in time.
func within(t *testing.T, what string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(10 * time.Second):
		t.Fatal(what + " did not happen")
	}
}

const (
	wordEvent   = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word\"},\"finish_reason\":null}]}\n\n"
	finishEvent = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	usageEvent  = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3,\"total_tokens\":12}}\n\n"
	doneEvent   = "data: [DONE]\n\n"
	streamBody  = `{"model":"tiny","stream":true,"max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`
	plainBody   = `{"model":"tiny","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`
)

// open starts a call that can be cut and returns its response once the header came.
func (h *house) open(ctx context.Context, body string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, "POST", h.gateway.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+h.text)
	return http.DefaultClient.Do(request)
}

// ended waits until the nth call is over and checks how it was settled.
func (h *house) ended(n int, outcome ledger.Outcome, source ledger.UsageSource, input, output int64, charged bool) middleware.Report {
	h.t.Helper()
	report := h.reports.nth(h.t, n)
	if report.Outcome != outcome || report.UsageSource != source || report.InputTokens != input || report.OutputTokens != output || (report.Charge.Amount > 0) != charged {
		h.t.Errorf("outcome %s, %s usage of %d and %d tokens, charge %s; want %s, %s, %d, %d, charged %v",
			report.Outcome, report.UsageSource, report.InputTokens, report.OutputTokens, report.Charge.Amount, outcome, source, input, output, charged)
	}
	if account := h.account(); account.Held != 0 || account.Spent != report.Charge.Amount {
		h.t.Errorf("the account says %+v, the charge was %s", account, report.Charge.Amount)
	}
	entries := h.entries()
	for range 1000 { // calls that are not charged do not wait for the disk
		if len(entries) >= n {
			break
		}
		time.Sleep(time.Millisecond)
		entries = h.entries()
	}
	if len(entries) != n || entries[n-1].Outcome != outcome || entries[n-1].RequestID != report.RequestID {
		h.t.Errorf("entries %+v", entries)
	}
	return report
}

func TestClientLeavesBeforeTheHeaders(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	ctx, cut := context.WithCancel(t.Context())
	go func() {
		<-stage.arrived
		time.Sleep(10 * time.Millisecond)
		cut()
	}()
	if _, err := h.open(ctx, plainBody); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	within(t, "cancelling the upstream", stage.cancelled)
	report := h.ended(1, ledger.OutcomeClientGone, ledger.UsageCounted, int64(len(plainBody)+3)/4, 0, true)
	if report.Compute < 10*time.Millisecond {
		t.Errorf("charged %s of time", report.Compute)
	}
}

func TestClientLeavesMidStream(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	ctx, cut := context.WithCancel(t.Context())
	stage.send <- wordEvent
	response, err := h.open(ctx, streamBody)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		stage.send <- wordEvent
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 3*len(wordEvent))); err != nil {
		t.Fatal(err)
	}
	cut()
	response.Body.Close()
	within(t, "cancelling the upstream", stage.cancelled)
	h.ended(1, ledger.OutcomeClientGone, ledger.UsageCounted, int64(len(streamBody)+3)/4, 3, true)
}

func TestClientLeavesAfterTheLastToken(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	ctx, cut := context.WithCancel(t.Context())
	stage.send <- wordEvent + wordEvent
	response, err := h.open(ctx, streamBody)
	if err != nil {
		t.Fatal(err)
	}
	stage.send <- wordEvent + finishEvent + usageEvent + doneEvent
	if _, err := io.ReadFull(response.Body, make([]byte, 3*len(wordEvent)+len(finishEvent))); err != nil {
		t.Fatal(err)
	}
	cut()
	response.Body.Close()
	h.ended(1, ledger.OutcomeClientGone, ledger.UsageReported, 9, 3, true)
}

func TestUpstreamRefusesOrFailsBeforeTheFirstByte(t *testing.T) {
	for _, test := range []struct {
		upstream, status int
		outcome          ledger.Outcome
		reply, want      string
	}{
		{400, 400, ledger.OutcomeUpstreamRefused, `{"error":{"message":"too long","type":"x"}}`, `{"error":{"message":"too long","type":"x"}}`},
		{400, 400, ledger.OutcomeUpstreamRefused, `{"object":"error","message":"too long","code":40303}`, `"message":"too long"`},
		{429, 429, ledger.OutcomeUpstreamRefused, `busy`, `"code":"upstream_busy"`},
		{401, 502, ledger.OutcomeUpstreamFailed, `{"error":{"message":"bad key sk-upstream"}}`, `"the upstream refused the gateway"`},
		{500, 500, ledger.OutcomeUpstreamFailed, `<html>boom</html>`, `"code":"upstream_failed"`},
		{402, 502, ledger.OutcomeUpstreamFailed, `{"error":{"message":"pay"}}`, `"the upstream refused the gateway"`},
		{503, 503, ledger.OutcomeUpstreamFailed, `{"detail":"loading"}`, `"message":"the upstream is busy"`},
		{500, 500, ledger.OutcomeUpstreamFailed, `{"error":{"message":"Traceback /srv/vllm"}}`, `"message":"the upstream failed"`},
	} {
		t.Run(fmt.Sprint(test.upstream, test.reply), func(t *testing.T) {
			h := build(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(test.upstream)
				io.WriteString(w, test.reply)
			}, ledger.NewKey{Limits: []limits.Row{{RPM: 5, TPM: 1000}}})
			got := h.post("/v1/chat/completions", plainBody)
			if got.status != test.status || !strings.Contains(got.body, test.want) || strings.Contains(got.body, "sk-upstream") {
				t.Fatalf("%d %s", got.status, got.body)
			}
			h.ended(1, test.outcome, ledger.UsageReported, 0, 0, false)
			next := h.post("/v1/chat/completions", plainBody)
			if next.header.Get("X-Ratelimit-Remaining-Requests") != "3" {
				t.Errorf("the request was not counted, or twice: %v", next.header)
			}
		})
	}
}

// Aquin's clients know 502 and 503 as failures, and nothing else from 500 on.
func TestAquinHearsOfEveryUpstreamFailureAs502Or503(t *testing.T) {
	var status atomic.Int64
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then the server notices that the gate is gone
		given := int(status.Load())
		if given == 0 {
			<-r.Context().Done()
			return
		}
		w.WriteHeader(given)
		io.WriteString(w, `{"error":{"message":"boom"}}`)
	}, ledger.NewKey{}, middleware.WithHoldTimeout(100*time.Millisecond), middleware.WithDialect(dialect.Aquin))
	for _, path := range []string{"/api/infer", "/api/v1/model", "/v1/chat/completions"} {
		for given, want := range map[int]int{0: 502, 401: 502, 402: 502, 403: 502, 407: 502, 500: 502, 501: 502, 502: 502, 503: 503, 504: 502, 599: 502, 700: 502} {
			status.Store(int64(given))
			got := h.post(path, `{"model":"tiny","prompt":"x","messages":[{"role":"user","content":"x"}]}`)
			if got.status != want || !strings.HasPrefix(got.body, `{"error":"`) {
				t.Errorf("%s: %d became %d %s", path, given, got.status, got.body)
			}
		}
	}
	h.upstream.Close()
	if got := h.post("/api/infer", `{"model":"tiny","prompt":"x"}`); got.status != 502 {
		t.Errorf("no upstream: %d %s", got.status, got.body)
	}
	if spent := h.account().Spent; spent != 0 {
		t.Errorf("charged %s", spent)
	}
}

func TestNoUpstreamIsReached(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.upstream.Close()
	got := h.post("/v1/chat/completions", plainBody)
	if got.status != 502 || !strings.Contains(got.body, `"code":"upstream_failed"`) {
		t.Fatalf("%d %s", got.status, got.body)
	}
	h.ended(1, ledger.OutcomeUpstreamFailed, ledger.UsageReported, 0, 0, false)
}

func TestUpstreamDiesMidStream(t *testing.T) {
	for name, end := range map[string]string{"reset": "abort", "reset inside an event": "half abort", "clean end without the end": ""} {
		t.Run(name, func(t *testing.T) {
			stage := newStage()
			h := build(t, stage.serve, ledger.NewKey{})
			stage.send <- wordEvent
			response, err := h.open(t.Context(), streamBody)
			if err != nil {
				t.Fatal(err)
			}
			stage.send <- wordEvent
			if strings.HasPrefix(end, "half") {
				stage.send <- wordEvent[:20]
			}
			if end != "" {
				stage.send <- "abort"
			}
			close(stage.send)
			text, _ := io.ReadAll(response.Body)
			response.Body.Close()
			list := events(string(text))
			if len(list) != 3 || !strings.HasPrefix(list[2], `error {"type":"error","error":{"type":"api_error","code":"upstream_failed"`) {
				t.Errorf("%q", list)
			}
			h.ended(1, ledger.OutcomeUpstreamFailed, ledger.UsageCounted, int64(len(streamBody)+3)/4, 2, true)
		})
	}
}

func TestAnErrorEventBeforeTheFirstTokenIsFree(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	event := "data: {\"error\":{\"message\":\"out of memory\"}}\n\n"
	stage.send <- event + doneEvent
	close(stage.send)
	got := h.post("/v1/chat/completions", streamBody)
	if list := events(got.body); len(list) != 1 || !strings.HasPrefix(list[0], `error {"type":"error"`) || strings.Contains(got.body, "memory") {
		t.Errorf("%d %q", got.status, got.body)
	}
	h.ended(1, ledger.OutcomeUpstreamFailed, ledger.UsageReported, 0, 0, false)
}

func TestUpstreamDiesInABody(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, `{"choices":[`)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}, ledger.NewKey{})
	got := h.post("/v1/chat/completions", plainBody)
	if got.status != 502 || !strings.Contains(got.body, `"code":"upstream_failed"`) {
		t.Fatalf("%d %s", got.status, got.body)
	}
	h.ended(1, ledger.OutcomeUpstreamFailed, ledger.UsageReported, 0, 0, false)
}

func TestShutdownLetsARunningStreamFinish(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	stage.send <- wordEvent
	response, err := h.open(t.Context(), streamBody)
	if err != nil {
		t.Fatal(err)
	}
	down := make(chan error, 1)
	go func() { down <- h.gateway.Config.Shutdown(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	stage.send <- finishEvent + usageEvent + doneEvent
	close(stage.send)
	text, err := io.ReadAll(response.Body)
	response.Body.Close()
	if list := events(string(text)); err != nil || len(list) != 3 || list[2] != "[DONE]" {
		t.Errorf("%q, %v", list, err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 9, 3, true)
}

func TestAPanicOfTheHandlerIsSettledAndPassesThrough(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	gate := middleware.New(h.ledger, h.limiter, middleware.WithObserver(h.reports))
	handler := gate(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") }))
	passed := make(chan any, 1)
	h.gateway.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { passed <- recover() }()
		handler.ServeHTTP(w, r)
	})
	got := h.post("/v1/chat/completions", plainBody)
	if problem := <-passed; got.status != 502 || problem != "a bug" {
		t.Errorf("%d, panic %v", got.status, problem)
	}
	h.ended(1, ledger.OutcomeUpstreamFailed, ledger.UsageReported, 0, 0, false)
}

func TestAHandlerThatWritesNothingIsNoAnswer(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(http.ResponseWriter, *http.Request) {})
	if got := h.post("/v1/chat/completions", request1K); got.status != http.StatusBadGateway {
		t.Errorf("%d %s", got.status, got.body)
	}
	if spent := h.account().Spent; spent != 0 {
		t.Errorf("charged %s", spent)
	}
}
