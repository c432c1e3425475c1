package middleware_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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

// refusedHead is the head of a request that is refused, with a length of its body.
func refusedHead(path, key string, more string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: gate\r\nX-Api-Key: " + key + "\r\n" + more + "\r\n"
}

func dial(t *testing.T, h *house) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", h.gateway.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := connection.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return connection
}

func TestARefusalDoesNotWaitForTheBody(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithMaxBody(100_000), middleware.WithFixedCost("/documents", 5))
	for _, test := range []struct {
		path, key, head string
		status          int
	}{
		{"/v1/chat/completions", "wrong", "Content-Length: 1000\r\n", 401},
		{"/v1/chat/completions", "wrong", "Content-Length: 1000\r\nExpect: 100-continue\r\n", 401},
		{"/v1/chat/completions", "wrong", "Content-Length: 5000000\r\n", 401},
		{"/v1/chat/completions", "wrong", "Transfer-Encoding: chunked\r\n", 401},
		{"/v1/chat/completions", h.text, "Content-Length: 200000\r\n", 413},
		{"/v1/chat/completions", h.text, "Content-Length: 999999999999\r\nExpect: 100-continue\r\n", 413},
		{"/v1/chat/completions", h.text, "Content-Length: 999999999999\r\n", 413},
		{"/v1/chat/completions", h.text, "Content-Length: 10\r\nContent-Encoding: br\r\n", 415},
		{"/v1/files", h.text, "Content-Length: 1000\r\n", 404},
		{"/v1/models", h.text, "Content-Length: 1000\r\n", 405},
		{"/documents", h.text, "Content-Length: 200000\r\n", 413},
	} {
		began := time.Now()
		connection := dial(t, h)
		io.WriteString(connection, refusedHead(test.path, test.key, test.head))
		answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Errorf("%s %q: %v", test.path, test.head, err)
		} else if body, err := io.ReadAll(answer.Body); answer.StatusCode != test.status || err != nil || len(body) == 0 {
			t.Errorf("%s %q: %d %s %v", test.path, test.head, answer.StatusCode, body, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s %q: the answer took %v", test.path, test.head, took)
		}
		connection.Close()
	}
	h.untouched()
}

// Python's clients send a whole body before they read a byte.
func TestAClientThatSendsEverythingFirstReadsTheRefusal(t *testing.T) {
	h := build(t, chat, ledger.NewKey{}, middleware.WithMaxBody(1<<20))
	piece := bytes.Repeat([]byte("x"), 64<<10)
	for _, key := range []string{"wrong", h.text} {
		for _, chunked := range []bool{false, true} {
			for range 3 {
				connection := dial(t, h)
				const pieces = 80 // 5 MiB
				length := fmt.Sprintf("Content-Length: %d\r\n", pieces*len(piece))
				if chunked {
					length = "Transfer-Encoding: chunked\r\n"
				}
				io.WriteString(connection, refusedHead("/v1/chat/completions", key, length))
				for range pieces {
					sent := piece
					if chunked {
						sent = fmt.Appendf(nil, "%x\r\n%s\r\n", len(piece), piece)
					}
					if _, err := connection.Write(sent); err != nil {
						t.Fatalf("chunked %v: the body could not be sent: %v", chunked, err)
					}
				}
				if chunked {
					io.WriteString(connection, "0\r\n\r\n")
				}
				answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
				if err != nil {
					t.Fatalf("chunked %v: no answer: %v", chunked, err)
				}
				if want := map[bool]int{true: 413, false: 401}[key == h.text]; answer.StatusCode != want {
					t.Errorf("chunked %v: %d", chunked, answer.StatusCode)
				}
				answer.Body.Close()
				connection.Close()
			}
		}
	}
}

func TestAConnectionServesOnAfterARefusal(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	connection := dial(t, h)
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for range 3 {
		io.WriteString(connection, refusedHead("/v1/chat/completions", "wrong", "Content-Length: 300000\r\n")+strings.Repeat("x", 300_000))
		io.WriteString(connection, refusedHead("/v1/chat/completions", h.text, fmt.Sprintf("Content-Length: %d\r\n", len(plainBody)))+plainBody)
		for _, want := range []int{401, 200} {
			answer, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != want {
				t.Errorf("%d, want %d: %v", answer.StatusCode, want, err)
			}
		}
	}
}

// A caller without a key occupies a connection for a few seconds at most.
func TestABodyThatNeverComesIsNotWaitedFor(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	connection := dial(t, h)
	defer connection.Close()
	began := time.Now()
	io.WriteString(connection, refusedHead("/v1/chat/completions", "wrong", "Content-Length: 1000\r\n"))
	if _, err := io.Copy(io.Discard, connection); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 4*time.Second || took > 12*time.Second {
		t.Errorf("the connection was closed after %v", took)
	}
}
