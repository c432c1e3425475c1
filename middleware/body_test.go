package middleware_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// longCall returns a call of some 32 KiB whose prompt is one letter, so that bytes
// of another call are seen.
func longCall(letter byte) string {
	return fmt.Sprintf(`{"model":"tiny","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"%s"}]}`, bytes.Repeat([]byte{letter}, 32<<10))
}

func TestMemoryOfABodyServesAnotherCallOnlyWhenItIsOver(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	var late io.Reader // the body of the first call, which its transport still reads
	gate := middleware.New(h.ledger, h.limiter)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 1<<10)
		if n, err := io.ReadFull(r.Body, first); err != nil {
			t.Errorf("the body of a call that runs: %d bytes, %v", n, err)
		}
		if late == nil {
			late = r.Body
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, finishEvent+usageEvent+doneEvent)
	}))
	// The first call's memory may lie ready for any of the others.
	for letter := byte('A'); letter <= 'Z'; letter++ {
		request := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(longCall(letter)))
		request.Header.Set("Authorization", "Bearer "+h.text)
		answer := httptest.NewRecorder()
		if gate.ServeHTTP(answer, request); answer.Code != http.StatusOK {
			t.Fatalf("status %d: %s", answer.Code, answer.Body)
		}
	}
	rest, err := io.ReadAll(late)
	if len(rest) > 0 || err != http.ErrBodyReadAfterClose {
		t.Errorf("%d bytes of the first body were read after it was over, %d of them of other calls, and then %v",
			len(rest), len(bytes.Trim(rest, "A")), err)
	}
}

func TestAPromptIsGoneWhenTheHandlerHasReturned(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	var late http.Request
	gate := middleware.New(h.ledger, h.limiter)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		late = *r
		chat(w, r)
	}))
	request := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(longCall('A')))
	request.Header.Set("Authorization", "Bearer "+h.text)
	gate.ServeHTTP(httptest.NewRecorder(), request)
	if call, ok := middleware.CallFrom(late.Context()); !ok || call.Model != "tiny" || call.Prompt != nil {
		t.Errorf("afterwards: %v, model %q, %d bytes of prompt; want the model and no prompt", ok, call.Model, len(call.Prompt))
	}
}
