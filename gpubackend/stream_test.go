package gpubackend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/internal/testkit"
)

func TestClientThatLeavesFreesItsSlotWithinOneStep(t *testing.T) {
	for _, body := range []string{endlessChat, strings.Replace(endlessChat, `"stream":true`, `"stream":false`, 1)} {
		steps := make(chan int)
		var log testkit.Buffer
		s, front := startGated(t, func(batch *engine.Batch) error { steps <- len(batch.Tables); return nil },
			WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		ctx, cancel := context.WithCancel(context.Background())
		request, _ := http.NewRequestWithContext(ctx, http.MethodPost, front.URL+"/v1/chat/completions", strings.NewReader(body))
		done := make(chan error)
		go func() {
			reply, err := front.Client().Do(request)
			if err == nil {
				_, err = io.Copy(io.Discard, reply.Body)
				reply.Body.Close()
			}
			done <- err
		}()
		<-steps
		<-steps
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the client ended with %v", err)
		}
		// The server learns of it; then the step that may have begun is the last.
		last := 0
		testkit.Eventually(t, "the slot came free", func() bool {
			select {
			case <-steps:
				last++
			default:
			}
			return s.scheduler.Status().Running == 0
		})
		if status := s.scheduler.Status(); status.PagesInUse != 0 || status.Cancelled != 1 {
			t.Errorf("after %d more steps: %+v", last, status)
		}
		if front.Close(); strings.Contains(log.String(), "ERROR") {
			t.Errorf("a client that leaves is logged as a failure: %s", log.String())
		}
	}
}

func TestClientThatDoesNotReadIsGivenUp(t *testing.T) {
	s, front := startGated(t, func(*engine.Batch) error { return nil }, WithWriteTimeout(50*time.Millisecond))
	defer askAndNotRead(t, front, largeChat).Close()
	testkit.Eventually(t, "the request was given up", func() bool { return s.scheduler.Status().Cancelled > 0 })
	testkit.Eventually(t, "all slots came free", func() bool { return s.scheduler.Status().Running == 0 })
}

func TestConnectionOutlivesTheDeadlineOfAStream(t *testing.T) {
	_, front := start(t, WithWriteTimeout(100*time.Millisecond))
	connection, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	read := bufio.NewReader(connection)
	for range 2 {
		request, _ := http.NewRequest(http.MethodPost, front.URL+"/v1/chat/completions", strings.NewReader(strings.Replace(endlessChat, "400", "3", 1)))
		if err := request.Write(connection); err != nil {
			t.Fatal(err)
		}
		reply, err := http.ReadResponse(read, request)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(reply.Body); err != nil || !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
			t.Fatalf("%v, %q", err, text)
		}
		time.Sleep(150 * time.Millisecond)
	}
}

func TestFailureInMidStreamIsAnErrorEvent(t *testing.T) {
	steps := 0
	var log testkit.Buffer
	_, front := startGated(t, func(*engine.Batch) error {
		if steps++; steps > 3 {
			return errors.New("device lost")
		}
		return nil
	}, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	reply, text := post(t, front, "/v1/chat/completions", endlessChat)
	if reply.StatusCode != http.StatusOK || !strings.Contains(string(text), "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"server_error\",\"code\":\"engine_failure\"") {
		t.Errorf("%d %s", reply.StatusCode, text)
	}
	if strings.Contains(string(text), "device lost") || !strings.Contains(log.String(), "device lost") {
		t.Errorf("the reason belongs into the log %q, not into the reply %s", log.String(), text)
	}
	if strings.Contains(string(text), "[DONE]") {
		t.Error("a failed stream ends as if it were whole")
	}
	if reply.Trailer.Get("X-Inference-Ms") == "" {
		t.Error("a failed stream does not say what it cost")
	}
	for range 2 {
		if reply, text := post(t, front, "/infer", `{"prompt":"Hi"}`); reply.StatusCode != http.StatusInternalServerError || code(text) != "engine_failure" {
			t.Errorf("a failed request: %d %s", reply.StatusCode, text)
		}
	}
	health, err := front.Client().Get(front.URL + "/health")
	if err != nil {
		t.Fatal(err)
	}
	if health.Body.Close(); health.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/health after three failed steps: %d", health.StatusCode)
	}
}

func TestTwoHundredStreamsOverHTTP(t *testing.T) {
	s, front := start(t, WithSlots(16), WithQueue(200, time.Minute))
	front.Client().Transport.(*http.Transport).MaxConnsPerHost = 0
	body := func(i int) string {
		return fmt.Sprintf(`{"messages":[{"role":"user","content":"Question %d"}],"max_tokens":%d,"seed":%d,"temperature":0,"ignore_eos":true,"logprobs":true,"stream":true}`, i%40, 5+i%20, i)
	}
	text := func(i int) (joined string, tokens int) {
		_, list := events(t, front, "/v1/chat/completions", body(i))
		for _, event := range list[:len(list)-1] {
			var chunk chatReply
			if err := json.Unmarshal([]byte(event), &chunk); err != nil {
				t.Error(err)
			}
			joined += chunk.Choices[0].Delta.Content
			if chunk.Choices[0].Logprobs != nil {
				tokens += len(chunk.Choices[0].Logprobs.Content)
			}
		}
		return joined, tokens
	}
	solo := make([]string, 200)
	for i := range solo {
		solo[i], _ = text(i)
	}
	var clients sync.WaitGroup
	for i := range solo {
		clients.Go(func() {
			got, tokens := text(i)
			if got != solo[i] || tokens != 5+i%20 {
				t.Errorf("stream %d: %q with %d tokens, alone %q with %d", i, got, tokens, solo[i], 5+i%20)
			}
		})
	}
	clients.Wait()
	if status := s.scheduler.Status(); status.Finished != 400 || status.PagesInUse != 0 {
		t.Errorf("%+v", status)
	}
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
