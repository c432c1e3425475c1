package middleware_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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
	var readers sync.WaitGroup
	// A transport may read on when the handler has returned.
	handler := func(w http.ResponseWriter, r *http.Request) {
		body, letter := r.Body, r.Header.Get("X-Letter")
		call, _ := middleware.CallFrom(r.Context())
		foreign := func(piece []byte) bool {
			upper := bytes.Map(func(c rune) rune {
				if c >= 'A' && c <= 'Z' {
					return c
				}
				return -1
			}, piece)
			return len(bytes.Trim(upper, letter)) > 0
		}
		if foreign(call.Prompt) {
			t.Errorf("the prompt of a call of %s holds other letters", letter)
		}
		readers.Go(func() {
			piece := make([]byte, 1<<10)
			for {
				n, err := body.Read(piece)
				if foreign(piece[:n]) {
					t.Errorf("a call of %s was given bytes of another call", letter)
					return
				}
				if err != nil {
					return
				}
			}
		})
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, finishEvent+usageEvent+doneEvent)
	}
	h := build(t, chat, ledger.NewKey{})
	gate := middleware.New(h.ledger, h.limiter, middleware.WithModels(middleware.Model{Name: "tiny"}))(http.HandlerFunc(handler))
	var callers sync.WaitGroup
	for letter := byte('A'); letter < 'I'; letter++ {
		callers.Go(func() {
			for range 40 {
				request := httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(longCall(letter)))
				request.Header.Set("Authorization", "Bearer "+h.text)
				request.Header.Set("X-Letter", string(letter))
				answer := httptest.NewRecorder()
				if gate.ServeHTTP(answer, request); answer.Code != http.StatusOK {
					t.Errorf("status %d: %s", answer.Code, answer.Body)
				}
			}
		})
	}
	callers.Wait()
	readers.Wait()
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
	if n, err := late.Body.Read(make([]byte, 10)); n != 0 || err != http.ErrBodyReadAfterClose {
		t.Errorf("the body afterwards: %d bytes, %v", n, err)
	}
}
