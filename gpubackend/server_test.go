package gpubackend

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

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

func TestInferAnswersInItsPlainShape(t *testing.T) {
	_, front := start(t)
	for _, path := range []string{"/infer", "/api/infer", "/api/v1/model"} {
		var body struct {
			Text          *string
			TokensIn      int    `json:"tokens_in"`
			TokensOut     int    `json:"tokens_out"`
			FinishReason  string `json:"finish_reason"`
			Demonstration bool
			Timings       struct {
				InferenceMs float64 `json:"inference_ms"`
			}
		}
		reply := decode(t, front, path, `{"prompt":"Hi","system_prompt":"Be brief.","max_tokens":5,"ignore_eos":true}`, &body)
		if body.Text == nil || body.TokensIn < 5 || body.TokensOut != 5 || body.FinishReason != "length" || body.Timings.InferenceMs <= 0 || !body.Demonstration {
			t.Errorf("%s: %+v", path, body)
		}
		if got := reply.Header.Get("X-Inference-Ms"); got != fmt.Sprintf("%.3f", body.Timings.InferenceMs) {
			t.Errorf("%s: X-Inference-Ms %q, the body says %v", path, got, body.Timings.InferenceMs)
		}
		if device := reply.Header.Get("X-Backend-Device"); !strings.HasPrefix(device, "cpu") || reply.Header.Get("X-Queue-Ms") == "" {
			t.Errorf("%s: headers %v", path, reply.Header)
		}
	}
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

func TestStreamSaysTheSameAsTheWholeReply(t *testing.T) {
	_, front := start(t)
	body := `{"messages":[{"role":"user","content":"Hello"}],"max_tokens":40,"temperature":0,"ignore_eos":true%s}`
	var whole chatReply
	decode(t, front, "/v1/chat/completions", fmt.Sprintf(body, ""), &whole)
	reply, list := events(t, front, "/v1/chat/completions", fmt.Sprintf(body, `,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}`))
	if list[len(list)-1] != "[DONE]" {
		t.Fatalf("the stream ends with %q", list[len(list)-1])
	}
	text, finish, last := "", "", 0
	var usage *usageBody
	for i, event := range list[:len(list)-1] {
		var chunk chatReply
		if err := json.Unmarshal([]byte(event), &chunk); err != nil {
			t.Fatal(err)
		}
		switch {
		case len(chunk.Choices) == 0:
			usage = chunk.Usage
			continue
		case i == 0:
			if chunk.Choices[0].Delta.Role != "assistant" {
				t.Errorf("the first event is %s", event)
			}
			continue
		}
		if chunk.Usage == nil || chunk.Usage.CompletionTokens < last {
			t.Errorf("usage after %d tokens: %s", last, event)
		} else {
			last = chunk.Usage.CompletionTokens
		}
		text += chunk.Choices[0].Delta.Content
		if chunk.Choices[0].FinishReason != nil {
			finish = *chunk.Choices[0].FinishReason
		}
	}
	if want := whole.Choices[0].Message.Content; text != want || finish != "length" {
		t.Errorf("streamed %q (%s), whole %q", text, finish, want)
	}
	if usage == nil || usage.CompletionTokens != 40 || usage.TotalTokens != whole.Usage.TotalTokens {
		t.Errorf("usage at the end: %+v", usage)
	}
	if reply.Trailer.Get("X-Inference-Ms") == "" || reply.Header.Get("X-Queue-Ms") == "" {
		t.Errorf("trailer %v, header %v", reply.Trailer, reply.Header)
	}
}

func TestModelsSayThatTheModelIsADemonstration(t *testing.T) {
	_, front := start(t)
	reply, err := front.Client().Get(front.URL + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	var body struct{ Data []modelBody }
	if err := json.NewDecoder(reply.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if len(body.Data) != 1 || body.Data[0].ID != "tiny" || !body.Data[0].Demonstration || body.Data[0].Description == "" {
		t.Errorf("models: %+v", body.Data)
	}
}

func TestDrainedServerRefusesAndSaysSo(t *testing.T) {
	s, front := start(t)
	if err := s.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
	reply, text := post(t, front, "/infer", `{"prompt":"Hi"}`)
	if reply.StatusCode != http.StatusServiceUnavailable || reply.Header.Get("Retry-After") == "" || !strings.Contains(string(text), `"draining"`) {
		t.Errorf("%d %v %s", reply.StatusCode, reply.Header, text)
	}
	for path, want := range map[string]int{"/ready": 503, "/health": 200, "/queue": 200, "/metrics": 200, "/v1/models/tiny": 200, "/v1/models/huge": 404} {
		reply, err := front.Client().Get(front.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if reply.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, reply.StatusCode, want)
		}
	}
}
