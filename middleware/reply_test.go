package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

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

// The last event of the Responses API repeats the request's instructions and
// tools, and the text of the answer comes four times.
func TestAResponsesStreamWithALongEndIsWhole(t *testing.T) {
	var stream strings.Builder
	for range 40 {
		stream.WriteString("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"word\"}\n\n")
	}
	fmt.Fprintf(&stream, "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"text\":\"%s\"}\n\n", strings.Repeat("word", 400))
	fmt.Fprintf(&stream, "event: response.completed\ndata: {\"response\":{\"instructions\":\"%s\",\"usage\":{\"input_tokens\":9,\"output_tokens\":40}},\"type\":\"response.completed\"}\n\n",
		strings.Repeat("x", 200<<10))
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, stream.String())
	}, ledger.NewKey{})
	got := h.post("/v1/responses", `{"model":"tiny","stream":true,"max_output_tokens":50,"input":"hi"}`)
	if got.body != stream.String() {
		t.Errorf("%d bytes came, ending in %q; %d were sent", len(got.body), got.body[max(0, len(got.body)-300):], stream.Len())
	}
	h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 9, 40, true)
}

// wholeAnswers are paths, calls, and a whole answer to each.
var wholeAnswers = []struct{ path, body, reply string }{
	{"/v1/chat/completions", plainBody, chatReply},
	{"/v1/completions", `{"model":"tiny","prompt":"hi"}`, `{"choices":[{"text":"four"}]}`},
	{"/v1/embeddings", `{"model":"tiny","input":"hi"}`, `{"data":[{"embedding":[1]}]}`},
	{"/v1/responses", `{"model":"tiny","input":"hi"}`, `{"output":[{"type":"message","content":[{"text":"four"}]}]}`},
	{"/v1/messages", `{"model":"tiny","max_tokens":5,"messages":[]}`, `{"content":[{"type":"text","text":"four"}]}`},
	{"/v1/rerank", `{"model":"tiny","query":"q","documents":["a"]}`, `{"results":[{"index":0}]}`},
	{"/api/infer", `{"model":"tiny","prompt":"hi"}`, chatReply},
	{"/api/v2/execute/tiny", `{"text":"hi"}`, chatReply},
	{"/api/generate", `{"model":"tiny","prompt":"hi","stream":false}`, `{"response":"four","done":true}`},
	{"/api/chat", `{"model":"tiny","messages":[],"stream":false}`, `{"message":{"content":"four"},"done":true}`},
	{"/api/embed", `{"model":"tiny","input":"hi"}`, `{"embeddings":[[1]]}`},
	{"/completion", `{"prompt":"hi","model":"tiny"}`, `{"content":"four","stop":true}`},
	{"/generate", `{"inputs":"hi","model":"tiny"}`, `{"generated_text":"four"}`},
	{"/generate", `{"text":"hi","model":"tiny"}`, `{"text":"four"}`},
}

// However an upstream fails to answer, the caller gets a 502 that says so and pays
// nothing, also where the upstream reports usage.
func TestAReplyWithoutAnAnswerIsNotCharged(t *testing.T) {
	answer := func(status int, text string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			io.WriteString(w, text)
			w.(http.Flusher).Flush()
		}
	}
	h := build(t, chat, ledger.NewKey{})
	const usage = `"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}`
	n := 0
	for name, handler := range map[string]http.HandlerFunc{
		"an empty object": answer(200, "{}"), "usage only": answer(200, "{"+usage+"}"), "no JSON": answer(200, "hello"), "a page": answer(200, "<html></html>", "Content-Type", "text/html"),
		"nothing": answer(200, ""), "no content": answer(204, ""), "reset": answer(205, ""), "another status of success": answer(201, "{}"),
		"an encoding": answer(200, chatReply, "Content-Encoding", "br"), "two encodings": answer(200, chatReply, "Content-Encoding", "gzip, br"),
		"status 0": answer(0, chatReply), "status 99": answer(99, chatReply), "status 600": answer(600, chatReply), "status 999": answer(999, chatReply), "status 1000": answer(1000, ""),
		"much text": answer(200, strings.Repeat("hello ", 20_000)), "cut JSON": answer(200, `{"choices":[{"message":{"content":"four"}}],"content":"four"`),
	} {
		for _, call := range wholeAnswers {
			h.wrap(handler)
			got := h.post(call.path, call.body)
			if got.status != 502 || !strings.Contains(got.body, "error") || got.header.Get("Content-Encoding") != "" {
				t.Errorf("%s, %s: %d %.200s %v", name, call.path, got.status, got.body, got.readErr)
			}
			n++
			if report := h.reports.nth(t, n); report.Outcome != ledger.OutcomeUpstreamFailed || report.Charge.Amount != 0 {
				t.Errorf("%s, %s: %+v", name, call.path, report)
			}
		}
	}
	if account := h.account(); account.Spent != 0 || account.Held != 0 {
		t.Errorf("%+v", account)
	}
}

func TestAWholeAnswerIsChargedAlsoWhereItsUsageIsZero(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	if err := h.ledger.SetPrice(t.Context(), "tiny", ledger.Price{Input: 1_000_000, Output: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	for i, call := range wholeAnswers {
		reply := strings.Replace(call.reply, `,"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}`, "", 1)
		reply = strings.TrimSuffix(reply, "}") + `,"usage":{"prompt_tokens":0,"completion_tokens":0,"input_tokens":0,"output_tokens":0}}`
		h.wrap(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, reply) })
		if got := h.post(call.path, call.body); got.status != 200 {
			t.Errorf("%s: %d %s", call.path, got.status, got.body)
		}
		report := h.reports.nth(t, i+1)
		if !strings.Contains(call.reply, "four") {
			continue // nothing is produced
		}
		if report.UsageSource != ledger.UsageCounted || report.OutputTokens != 1 || report.InputTokens == 0 || report.Charge.Amount == 0 {
			t.Errorf("%s: %+v", call.path, report)
		}
	}
}

// A handler of one's own that says what it used may answer as it likes.
func TestAHandlerThatReportsItsUsageNeedsNoShape(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		middleware.ReportUsage(r.Context(), middleware.Usage{InputTokens: 2, OutputTokens: 3})
		io.WriteString(w, "plain text")
	})
	if got := h.post("/v1/chat/completions", plainBody); got.status != 200 || got.body != "plain text" {
		t.Errorf("%d %s", got.status, got.body)
	}
	h.ended(1, ledger.OutcomeOK, ledger.UsageReported, 2, 3, true)
}
