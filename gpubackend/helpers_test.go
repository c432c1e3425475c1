package gpubackend

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/cpu"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
)

const endlessChat = `{"messages":[{"role":"user","content":"Hi"}],"max_tokens":400,"ignore_eos":true,"stream":true}`

// code is the error code in a reply, empty if it is no error.
func code(text []byte) string {
	var body struct {
		Error errorBody `json:"error"`
	}
	_ = json.Unmarshal(text, &body)
	return body.Error.Code
}

// gatedRunner is the real engine, with a test's say before each step.
type gatedRunner struct {
	engine.Runner
	before func(*engine.Batch) error
}

func (r gatedRunner) Forward(batch *engine.Batch) (engine.Timing, error) {
	if err := r.before(batch); err != nil {
		return engine.Timing{}, err
	}
	return r.Runner.Forward(batch)
}

// startGated serves a small random model whose steps the test controls.
func startGated(t testing.TB, before func(*engine.Batch) error, options ...Option) (*Server, *httptest.Server) {
	t.Helper()
	file := testmodel.Open(testmodel.Tiny())
	words, err := tokenizer.FromGGUF(file)
	if err != nil {
		t.Fatal(err)
	}
	runner, err := cpu.New(file, cpu.WithThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	return start(t, append([]Option{WithEngine(gatedRunner{runner, before}, words)}, options...)...)
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// start runs a server on a loopback port until the test ends.
func start(t testing.TB, options ...Option) (*Server, *httptest.Server) {
	t.Helper()
	s, err := New(append([]Option{WithThreads(1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(s)
	t.Cleanup(func() {
		front.Client().CloseIdleConnections()
		front.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, front
}

// post sends a body and returns the reply with its body read.
func post(t testing.TB, front *httptest.Server, path, body string) (*http.Response, []byte) {
	t.Helper()
	reply, err := front.Client().Post(front.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply, text
}

// decode posts a body, wants 200 and decodes the reply.
func decode(t testing.TB, front *httptest.Server, path, body string, into any) *http.Response {
	t.Helper()
	reply, text := post(t, front, path, body)
	if reply.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s", path, body, reply.StatusCode, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v in %s", path, err, text)
	}
	return reply
}

// events posts a body and returns the data of the events of the reply.
func events(t testing.TB, front *httptest.Server, path, body string) (*http.Response, []string) {
	t.Helper()
	reply, text := post(t, front, path, body)
	if reply.StatusCode != http.StatusOK || reply.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %d %s", path, reply.StatusCode, text)
	}
	var list []string
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			list = append(list, data)
		}
	}
	return reply, list
}

// chatReply is what the tests read of a chat completion or chunk.
type chatReply struct {
	Object  string
	Model   string
	Choices []struct {
		Index        int
		Message      struct{ Role, Content string }
		Delta        struct{ Role, Content string }
		FinishReason *string `json:"finish_reason"`
		Logprobs     *struct {
			Content []drawnLogprob
		}
	}
	Usage    *usageBody
	Warnings []string
}
