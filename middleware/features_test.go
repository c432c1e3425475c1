package middleware_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// wrap puts a handler of one's own behind the gate of a house.
func (h *house) wrap(handler http.HandlerFunc, opts ...middleware.Option) {
	opts = append([]middleware.Option{middleware.WithObserver(h.reports)}, opts...)
	h.gateway.Config.Handler = middleware.New(h.ledger, h.limiter, opts...)(handler)
}

func TestUpstreamsNeitherSeeTheKeyNorBelieveTheCaller(t *testing.T) {
	var seen http.Header
	h := build(t, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone(); chat(w, r) }, ledger.NewKey{})
	for _, header := range [][]string{
		{"Authorization", "Bearer " + h.text},
		{"Authorization", "Token " + h.text},
		{"Authorization", "bearer  " + h.text},
		{"X-Api-Key", h.text},
		{"Api-Key", h.text},
		{"Authorization", "Basic xxx", "X-Api-Key", h.text},
	} {
		seen = nil
		got := h.do("POST", "/v1/chat/completions", plainBody, append(header, "X-Inference-Ms", "1", "X-Penstock-Anything", "1", "X-Other", "kept")...)
		if got.status != 200 || seen.Get("X-Other") != "kept" {
			t.Fatalf("%v: %d %s", header[0], got.status, got.body)
		}
		for name, values := range seen {
			if strings.Contains(strings.Join(values, " "), h.text) || strings.HasPrefix(name, "X-Penstock") || name == "X-Inference-Ms" || name == "Authorization" {
				t.Errorf("the upstream sees %s", name)
			}
		}
	}
}

func TestHeadersThatAreTheGatesAreNotTheUpstreams(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "upstream")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "99999")
		w.Header().Set("X-Penstock-Credits-Charged", "0")
		chat(w, r)
	}, ledger.NewKey{Limits: []limits.Row{{RPM: 5}}})
	for _, body := range []string{plainBody, streamBody} {
		got := h.post("/v1/chat/completions", body)
		if ids := got.header["X-Request-Id"]; len(ids) != 1 || !strings.HasPrefix(ids[0], "req_") {
			t.Errorf("request ids %v", ids)
		}
		if left := strings.Join(got.header["X-Ratelimit-Remaining-Requests"], ""); left != "4" && left != "3" {
			t.Errorf("remaining %q", left)
		}
		if charged := got.header.Get("X-Penstock-Credits-Charged") + got.trailer.Get("X-Penstock-Credits-Charged"); charged == "0" || charged == "" {
			t.Errorf("charged %q", charged)
		}
	}
}

func TestATrustedUpstreamsTimeReplacesTheMeasuredOne(t *testing.T) {
	for _, test := range []struct {
		name, value string
		trailer     bool
		trusted     bool
		want        time.Duration // 0: what the gate measured
	}{
		{"header", "3", false, true, 3 * time.Millisecond},
		{"fraction", "2.5", false, true, 2500 * time.Microsecond},
		{"trailer", "4", true, true, 4 * time.Millisecond},
		{"not trusted", "3", false, false, 0},
		{"more than was seen", "86400000", false, true, 0},
		{"negative", "-3", false, true, 0},
		{"not a number", "NaN", false, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := build(t, chat, ledger.NewKey{})
			h.wrap(func(w http.ResponseWriter, r *http.Request) {
				middleware.NoteUpstream(r.Context(), middleware.Upstream{Address: "a", Kind: "penstock", Trusted: test.trusted})
				time.Sleep(8 * time.Millisecond)
				if test.trailer {
					w.Header().Set("Trailer", "X-Inference-Ms")
				} else {
					w.Header().Set("X-Inference-Ms", test.value)
				}
				io.WriteString(w, chatReply)
				if test.trailer {
					w.Header().Set("X-Inference-Ms", test.value)
				}
			})
			got := h.post("/v1/chat/completions", plainBody)
			report := h.reports.nth(t, 1)
			if test.want != 0 && report.Compute != test.want || test.want == 0 && (report.Compute < 8*time.Millisecond || report.Compute > time.Second) {
				t.Errorf("charged %s", report.Compute)
			}
			if got.header.Get("X-Inference-Ms") != "" || got.trailer.Get("X-Inference-Ms") != "" || report.Upstream.Address != "a" {
				t.Errorf("the client sees %v %v", got.header, got.trailer)
			}
		})
	}
}

func pack(text string) string {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	io.WriteString(w, text)
	w.Close()
	return packed.String()
}

func TestPackedBodies(t *testing.T) {
	var seen string
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = string(body)
		if r.Header.Get("Content-Encoding") != "" || r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("encodings %v", r.Header)
		}
		w.Header().Set("Content-Encoding", "gzip") // although nobody asked
		text := chatReply
		if strings.Contains(seen, `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			text = wordEvent + finishEvent + usageEvent + doneEvent
		}
		for _, piece := range strings.SplitAfter(pack(text), "\n") {
			io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
	}, ledger.NewKey{}, middleware.WithMaxBody(1000))
	got := h.post("/v1/chat/completions", pack(plainBody), "Content-Encoding", "gzip")
	if got.status != 200 || seen != plainBody || got.body != chatReply || got.header.Get("Content-Encoding") != "" {
		t.Errorf("%d %s, the upstream saw %s", got.status, got.body, seen)
	}
	got = h.post("/v1/chat/completions", streamBody)
	if got.status != 200 || got.body != wordEvent+finishEvent+doneEvent {
		t.Errorf("%d %q", got.status, got.body)
	}
	for i, entry := range h.entries() {
		if entry.Usage != ledger.UsageReported || entry.Quantity.InputTokens != 9 {
			t.Errorf("call %d: %+v", i, entry)
		}
	}
	bomb := pack(`{"model":"tiny","x":"` + strings.Repeat("a", 1<<20) + `"}`)
	if got = h.post("/v1/chat/completions", bomb[:min(len(bomb), 900)], "Content-Encoding", "gzip"); got.status != 400 && got.status != 413 {
		t.Errorf("a bomb: %d %s", got.status, got.body)
	}
	if got = h.post("/v1/chat/completions", pack(`{"model":"tiny","x":"`+strings.Repeat("a", 2000)+`"}`), "Content-Encoding", "gzip"); got.status != 413 {
		t.Errorf("more than allowed once unpacked: %d %s", got.status, got.body)
	}
	if got = h.post("/v1/chat/completions", plainBody, "Content-Encoding", "br"); got.status != 415 {
		t.Errorf("an unknown encoding: %d %s", got.status, got.body)
	}
	if got = h.post("/v1/chat/completions", plainBody, "Content-Encoding", "gzip"); got.status != 400 {
		t.Errorf("not packed at all: %d %s", got.status, got.body)
	}
}

func TestAReplyInAnUnknownEncodingPassesAndIsEstimated(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		io.WriteString(w, chatReply)
	}, ledger.NewKey{})
	if got := h.post("/v1/chat/completions", plainBody); got.status != 200 || got.body != chatReply {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.ended(1, ledger.OutcomeOK, ledger.UsageEstimated, int64(len(plainBody)+3)/4, 50, true)
}

func TestALargeReplyPassesWithoutBeingKept(t *testing.T) {
	large := `{"data":[` + strings.Repeat("0.123456789,", 50_000) + `1],"usage":{"prompt_tokens":8,"total_tokens":8}}`
	first, last := make(chan struct{}), make(chan struct{})
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, large[:200_000])
		w.(http.Flusher).Flush()
		<-first
		io.Copy(w, strings.NewReader(large[200_000:]))
		w.(http.Flusher).Flush()
		<-last
	})
	request, _ := http.NewRequest("POST", h.gateway.URL+"/v1/embeddings", strings.NewReader(`{"model":"tiny","input":"x"}`))
	request.Header.Set("Authorization", "Bearer "+h.text)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	begin := make([]byte, 100_000)
	if _, err := io.ReadFull(response.Body, begin); err != nil {
		t.Fatal(err)
	}
	close(first)
	middle := make([]byte, len(large)-len(begin)-1)
	if _, err := io.ReadFull(response.Body, middle); err != nil {
		t.Fatal(err)
	}
	early := make(chan string, 1)
	go func() {
		rest, _ := io.ReadAll(response.Body)
		early <- string(rest)
	}()
	select {
	case rest := <-early:
		t.Errorf("%q came before the charge", rest)
	case <-time.After(50 * time.Millisecond):
	}
	close(last)
	if rest := <-early; string(begin)+string(middle)+rest != large {
		t.Errorf("the reply changed: it ends with %q", rest)
	}
	report := h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 8, 0, true)
	if charged := response.Trailer.Get("X-Penstock-Credits-Charged"); charged != report.Charge.Amount.String() {
		t.Errorf("trailer %q, charge %s", charged, report.Charge.Amount)
	}
}

func TestNoChunkIsHeldBack(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	stage.send <- wordEvent
	response, err := h.open(t.Context(), streamBody)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	buffer := make([]byte, len(wordEvent))
	for range 5 { // each chunk is read before the next one is sent
		if _, err := io.ReadFull(response.Body, buffer); err != nil || string(buffer) != wordEvent {
			t.Fatalf("%q, %v", buffer, err)
		}
		stage.send <- wordEvent
	}
	stage.send <- finishEvent + usageEvent + doneEvent
	close(stage.send)
	io.Copy(io.Discard, response.Body)
}

func TestEarlyHintsPass(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</x>")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, chatReply)
	})
	hints := 0
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { hints += code; return nil }}
	request, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "POST", h.gateway.URL+"/v1/chat/completions", strings.NewReader(plainBody))
	request.Header.Set("Authorization", "Bearer "+h.text)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 || hints != 103 {
		t.Errorf("%d, hints %d", response.StatusCode, hints)
	}
}

func TestAHandlerOfOnesOwnReportsItsUsage(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		call, ok := middleware.CallFrom(r.Context())
		if !ok || call.KeyID != h.key.ID || call.Model != "/summarize" || call.OutputTokens != 200 || call.Operation != "custom" {
			t.Errorf("%+v %v", call, ok)
		}
		middleware.ReportUsage(r.Context(), middleware.Usage{InputTokens: 10, OutputTokens: 999, Duration: time.Microsecond})
		io.Copy(w, r.Body)
	}, middleware.WithMetered("/summarize", ledger.Quantity{InputTokens: 100, OutputTokens: 200}))
	if got := h.post("/summarize", "any text"); got.status != 200 || got.body != "any text" {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 10, 200, true) // never beyond the hold
}

func TestAConnectionCannotBeTakenOverBehindTheGate(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
			t.Error("hijacked")
		}
		if r.Header.Get("Upgrade") != "" {
			t.Error("an upgrade goes on")
		}
		w.WriteHeader(http.StatusSwitchingProtocols)
		io.WriteString(w, chatReply)
	})
	if got := h.post("/v1/chat/completions", plainBody, "Upgrade", "x"); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestFixedCostAndUnmeteredPaths(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the key goes on")
		}
		if strings.Contains(r.URL.Path, "fail") {
			w.WriteHeader(http.StatusInternalServerError)
		}
		io.WriteString(w, "ok")
	}, middleware.WithFixedCost("/v1/rerank", 1234), middleware.WithFixedCost("/fail", 1), middleware.WithAllowUnmetered("/health", "/static/*"))
	if got := h.post("/v1/rerank", "anything"); got.status != 200 || got.body != "ok" || got.header.Get("X-Penstock-Credits-Charged") != "0.001234" {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
	if got := h.post("/fail", ""); got.status != 500 {
		t.Errorf("%d %s", got.status, got.body)
	}
	for path, status := range map[string]int{
		"/health": 200, "/static/a/b": 200, "/static/a/": 200, "/staticx": 404,
		"/static/../v1/chat/completions": 404, "/static/%2e%2e/v1/chat/completions": 404, "/static/a%2f..%2f..%2fv1": 404, "/static//v1": 404, "/v1/rerank/x": 404,
	} {
		if got := h.post(path, ""); got.status != status {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := h.do("GET", "/health", ""); got.status != 401 {
		t.Errorf("without a key: %d", got.status)
	}
	if account := h.account(); account.Spent != 1234 || account.Held != 0 {
		t.Errorf("%+v", account)
	}
}

func TestModelsAreListedForTheKey(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Models: []string{"b"}}, middleware.WithModels(middleware.Model{Name: "a"}, middleware.Model{Name: "b", Description: "the second"}))
	_, all := h.newKey(ledger.NewKey{}, 0)
	for key, want := range map[string]string{h.text: "b: the second", all: "a: b: the second"} {
		got := h.do("GET", "/v1/models", "", "Authorization", "Bearer "+key)
		var list struct {
			Data []struct{ ID, Description string }
		}
		if err := json.Unmarshal([]byte(got.body), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, model := range list.Data {
			names = append(names, strings.TrimSpace(model.ID+": "+model.Description))
		}
		if got.status != 200 || strings.Join(names, " ") != want {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	h.untouched()
}

func TestRefusalsCanBeHandedOver(t *testing.T) {
	h := build(t, chat, ledger.NewKey{Limits: []limits.Row{{RPM: 1}}})
	h.wrap(chat, middleware.WithErrorsPassthrough(func(w http.ResponseWriter, r *http.Request, refused middleware.Refused) {
		w.WriteHeader(refused.Status)
		fmt.Fprintf(w, "%s %s %d", refused.KeyID, refused.Refusal.Bound.Rule, refused.Refusal.RetryMilliseconds())
	}))
	h.post("/v1/chat/completions", plainBody)
	got := h.post("/v1/chat/completions", plainBody)
	if got.status != 429 || !strings.HasPrefix(got.body, h.key.ID+" rpm ") || got.header.Get("Retry-After") == "" || !strings.HasSuffix(got.body, " "+got.header.Get("Retry-After-Ms")) {
		t.Errorf("%d %s %v", got.status, got.body, got.header)
	}
}

func TestLimitsAreToldInEachDialect(t *testing.T) {
	for _, test := range []struct {
		path, body string
		limits     limits.Row
		status     int
		retry      bool
		text       string
	}{
		{"/v1/chat/completions", plainBody, limits.Row{RPM: 1}, 429, true, `"limit":{"rule":"rpm","scope":"key","limit":1,"used":1,"needed":1}`},
		{"/v1/chat/completions", plainBody, limits.Row{RPM: 1, Model: "tiny"}, 429, true, `"scope":"model","model":"tiny"`},
		{"/v1/chat/completions", plainBody, limits.Row{TPM: 80}, 429, true, `"rule":"tpm"`},
		{"/v1/chat/completions", plainBody, limits.Row{RPD: 1}, 429, true, `"rule":"rpd"`},
		{"/v1/messages", plainBody, limits.Row{RPM: 1}, 429, true, `"type":"rate_limit_error"`},
		{"/api/infer", `{"prompt":"x","model":"tiny","max_tokens":50}`, limits.Row{RPM: 1}, 429, true, `{"error":"Rate limit exceeded","retry_after_ms":`},
		{"/api/v2/execute/tiny", `{"text":"x","max_tokens":50}`, limits.Row{RPM: 1}, 497, false, `{"statusCode":497,"message":"Rate limit exceeded","error":"Rate limit exceeded","retry_after_ms":`},
		{"/api/v2/execute/tiny", `{"text":"x","max_tokens":50}`, limits.Row{RPD: 1}, 429, false, `{"statusCode":429,"message":"Rate limit exceeded"`},
	} {
		t.Run(test.path+" "+test.text, func(t *testing.T) {
			h := build(t, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, `{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":20,"completion_tokens":40}}`)
			}, ledger.NewKey{Limits: []limits.Row{test.limits}})
			if got := h.post(test.path, test.body); got.status != 200 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			got := h.post(test.path, test.body)
			if got.status != test.status || !strings.Contains(got.body, test.text) || !strings.Contains(got.body, `"retry_after_ms":`) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if hasRetry := got.header.Get("Retry-After") != ""; hasRetry != test.retry {
				t.Errorf("%v", got.header)
			}
			wait, _ := strconv.Atoi(got.header.Get("Retry-After-Ms"))
			if long := wait > 60_001; test.retry && ((got.header.Get("X-Should-Retry") == "false") != long || wait == 0) {
				t.Errorf("%v", got.header)
			}
			if report := h.reports.nth(t, 2); !report.Refused || report.Status != test.status || !strings.Contains("rpm tpm rpd", report.Rule) {
				t.Errorf("%+v", report)
			}
		})
	}
}

func TestAnthropicLimitHeadersOnStreams(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")
	}, ledger.NewKey{Limits: []limits.Row{{RPM: 5, TPM: 1000}}})
	got := h.post("/v1/messages", `{"model":"m","max_tokens":5,"stream":true,"messages":[]}`)
	reset, err := time.Parse(time.RFC3339, got.header.Get("Anthropic-Ratelimit-Requests-Reset"))
	if got.header.Get("Anthropic-Ratelimit-Requests-Limit") != "5" || got.header.Get("Anthropic-Ratelimit-Requests-Remaining") != "4" ||
		got.header.Get("Anthropic-Ratelimit-Tokens-Limit") != "1000" || err != nil || time.Until(reset) < 50*time.Second {
		t.Errorf("%v %v", got.header, err)
	}
}

func TestADefaultCapShrinksForASmallKeyButAWishDoesNot(t *testing.T) {
	var seen string
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = string(body)
		io.WriteString(w, chatReply)
	}, ledger.NewKey{Limits: []limits.Row{{TPM: 100}}})
	got := h.post("/v1/chat/completions", `{"model":"tiny","messages":[]}`)
	if got.status != 200 || seen != `{"max_tokens":92,"model":"tiny","messages":[]}` {
		t.Errorf("%d %s, the upstream saw %s", got.status, got.body, seen)
	}
	got = h.post("/v1/chat/completions", `{"model":"tiny","messages":[],"max_tokens":512}`)
	if got.status != 400 || got.header.Get("X-Should-Retry") != "false" || !strings.Contains(got.body, `"code":"request_exceeds_limit"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestACallThatCreditRefusesKeepsNoReservation(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	_, h.text = h.newKey(ledger.NewKey{Owner: "poor", Limits: []limits.Row{{RPM: 1, TPM: 100, MaxInFlight: 1}}}, 1)
	for range 3 {
		if got := h.post("/v1/chat/completions", plainBody); got.status != 402 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

func TestCreditThatOtherCallsHoldIsWaitedFor(t *testing.T) {
	stage := newStage()
	h := build(t, stage.serve, ledger.NewKey{})
	_, h.text = h.newKey(ledger.NewKey{Owner: "tight", HasBudget: true, Budget: 5 * ledger.Credit / 2}, 10*ledger.Credit)
	done := make(chan answer, 1)
	go func() { done <- h.post("/v1/chat/completions", plainBody) }()
	<-stage.arrived
	got := h.post("/v1/chat/completions", plainBody)
	if got.status != 429 || !strings.Contains(got.body, `"code":"credit_held"`) || got.header.Get("Retry-After-Ms") != "1000" || !strings.Contains(got.body, `"rule":"budget","scope":"key"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	close(stage.send)
	<-done
}

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
		if fail != "" && got.body != `{"status":"FAILED","completed":true,"statusCode":503,"message":"loading","error":"loading"}` {
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

func TestTheDialectOfErrorsCanBeFixed(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithDialect(dialect.Aquin))
	if got := h.do("POST", "/v1/chat/completions", plainBody); strings.TrimSpace(got.body) != `{"error":"the API key is missing or not valid"}` {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAPolicySeesTheCall(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		call, ok := middleware.CallFrom(r.Context())
		if !ok || call.Model != "tiny" || call.UpstreamModel != "org/tiny" || !call.Stream || call.Operation != "chat" ||
			string(call.Prompt) != `[{"role":"user","content":"hi"}]` || call.OutputTokens != 50 || call.InputTokens == 0 || call.Deadline.IsZero() {
			t.Errorf("%+v", call)
		}
		chat(w, r)
	}, middleware.WithModels(middleware.Model{Name: "tiny", UpstreamName: "org/tiny"}))
	h.post("/v1/chat/completions", streamBody)
}
