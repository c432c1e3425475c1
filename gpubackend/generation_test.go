package gpubackend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestMaxTokensBeyondTheContextIsLoweredAndSaid(t *testing.T) {
	_, front := start(t, WithContext(64))
	var body struct {
		TokensIn  int `json:"tokens_in"`
		TokensOut int `json:"tokens_out"`
		Warnings  []string
	}
	reply := decode(t, front, "/infer", `{"prompt":"Hi","max_tokens":100000,"ignore_eos":true}`, &body)
	if body.TokensIn+body.TokensOut != 64 || reply.Header.Get("X-Backend-Max-Tokens") != fmt.Sprint(body.TokensOut) {
		t.Errorf("%+v, header %v", body, reply.Header)
	}
	if len(body.Warnings) != 1 || !strings.Contains(body.Warnings[0], "max_tokens 100000 lowered to") {
		t.Errorf("warnings: %q", body.Warnings)
	}
	_, list := events(t, front, "/v1/chat/completions", `{"messages":[{"role":"user","content":"Hi"}],"max_tokens":100000,"ignore_eos":true,"stream":true}`)
	if last := list[len(list)-2]; !strings.Contains(last, "lowered to") {
		t.Errorf("the stream's last event is %s", last)
	}
}

func TestChoicesDifferAndShareTheirPrompt(t *testing.T) {
	_, front := start(t)
	var body chatReply
	decode(t, front, "/v1/chat/completions", `{"messages":[{"role":"user","content":"A prompt that is longer than a page of the cache"}],"n":3,"max_tokens":12,"seed":5,"temperature":2,"ignore_eos":true}`, &body)
	if len(body.Choices) != 3 || body.Usage.CompletionTokens != 36 {
		t.Fatalf("%+v", body)
	}
	for i, choice := range body.Choices {
		if choice.Index != i || i > 0 && choice.Message.Content == body.Choices[0].Message.Content {
			t.Errorf("choice %d: %+v", i, choice)
		}
	}
	_, list := events(t, front, "/v1/chat/completions", `{"messages":[{"role":"user","content":"A prompt that is longer than a page of the cache"}],"n":3,"max_tokens":12,"seed":5,"temperature":2,"ignore_eos":true,"stream":true}`)
	texts := make([]string, 3)
	for _, event := range list[:len(list)-1] {
		var chunk chatReply
		if err := json.Unmarshal([]byte(event), &chunk); err != nil {
			t.Fatal(err)
		}
		for _, choice := range chunk.Choices {
			texts[choice.Index] += choice.Delta.Content
		}
	}
	for i, choice := range body.Choices {
		if texts[i] != choice.Message.Content {
			t.Errorf("choice %d: streamed %q, whole %q", i, texts[i], choice.Message.Content)
		}
	}
}

func TestSecondRequestFindsItsPromptCached(t *testing.T) {
	_, front := start(t)
	body := `{"messages":[{"role":"user","content":"A prompt that is longer than a page of the cache"}],"max_tokens":2%s}`
	cached := func(more string) int {
		var reply chatReply
		decode(t, front, "/v1/chat/completions", fmt.Sprintf(body, more), &reply)
		return reply.Usage.PromptDetails.CachedTokens
	}
	if first, second, salted := cached(""), cached(""), cached(`,"cache_salt":"mine"`); first != 0 || second < 16 || salted != 0 {
		t.Errorf("cached tokens: first %d, second %d, with a salt %d", first, second, salted)
	}
}

func TestStopTextEndsTheAnswerBeforeIt(t *testing.T) {
	_, front := start(t)
	// The bias leaves the model the letters a, b and c.
	ask := func(more string) chatReply {
		var reply chatReply
		decode(t, front, "/v1/chat/completions", `{"messages":[{"role":"user","content":"Hi"}],"max_tokens":60,"seed":1,"logit_bias":{"97":90,"98":90,"99":90}`+more+`}`, &reply)
		return reply
	}
	whole := ask("").Choices[0].Message.Content
	stop := whole[20:24]
	before, _, _ := strings.Cut(whole, stop)
	for _, form := range []string{`,"stop":%q`, `,"stop":["never there",%q]`} {
		reply := ask(fmt.Sprintf(form, stop))
		if got := reply.Choices[0]; got.Message.Content != before || *got.FinishReason != "stop" {
			t.Errorf("stop %q: %q (%s), want %q", stop, got.Message.Content, *got.FinishReason, before)
		}
		if reply.Usage.CompletionTokens >= 60 {
			t.Errorf("%d tokens were generated although the text stopped", reply.Usage.CompletionTokens)
		}
	}
}

func TestInferenceTimesOfAllRepliesSumToTheBusyTime(t *testing.T) {
	s, front := start(t, WithSlots(4))
	var clients sync.WaitGroup
	var mu sync.Mutex
	sum, replies := 0.0, 0
	for i := range 30 {
		clients.Go(func() {
			path, body := "/infer", fmt.Sprintf(`{"prompt":"Question %d","max_tokens":%d,"ignore_eos":true}`, i, 1+i)
			switch i % 3 {
			case 1:
				path, body = "/v1/chat/completions", strings.Replace(endlessChat, "400", fmt.Sprintf(`%d,"n":2`, 5+i), 1)
			case 2:
				path, body = "/v1/embeddings", `{"input":["one text","and another"]}`
			}
			reply, text := post(t, front, path, body)
			value := reply.Header.Get("X-Inference-Ms") + reply.Trailer.Get("X-Inference-Ms")
			share, err := strconv.ParseFloat(value, 64)
			if err != nil || reply.StatusCode != http.StatusOK {
				t.Errorf("%s: %d, X-Inference-Ms %q, %s", path, reply.StatusCode, value, text)
			}
			mu.Lock()
			sum += share
			replies++
			mu.Unlock()
		})
	}
	clients.Wait()
	// Each reply is cut to whole microseconds.
	if busy := inMilliseconds(s.scheduler.Status().Busy); sum > busy+1e-6 || sum < busy-float64(replies)*0.001 {
		t.Errorf("%d replies say %.3f ms in all, the engine was busy for %.3f ms", replies, sum, busy)
	}
}
