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
