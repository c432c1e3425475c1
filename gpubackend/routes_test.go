package gpubackend

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

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

func TestChatLogprobs(t *testing.T) {
	_, front := start(t)
	var body chatReply
	decode(t, front, "/v1/chat/completions", `{"messages":[{"role":"user","content":"Hi"}],"max_tokens":5,"temperature":0,"ignore_eos":true,"logprobs":true,"top_logprobs":3}`, &body)
	content := body.Choices[0].Logprobs.Content
	if len(content) != 5 {
		t.Fatalf("%d entries for 5 tokens", len(content))
	}
	for _, token := range content {
		if len(token.Top) != 3 || token.Top[0].Token != token.Token || token.Top[0].Logprob != token.Logprob || token.Logprob > 0 {
			t.Errorf("greedy token %+v is not the likeliest", token)
		}
	}
}

func TestCompletionsTakeTextsAndTokens(t *testing.T) {
	_, front := start(t)
	var tokenized struct {
		Tokens []int32
		Count  int
	}
	decode(t, front, "/tokenize", `{"prompt":"Hello there"}`, &tokenized)
	if len(tokenized.Tokens) == 0 || tokenized.Count != len(tokenized.Tokens) {
		t.Fatalf("%+v", tokenized)
	}
	ids, _ := json.Marshal(tokenized.Tokens)
	var want string
	for _, prompt := range []string{`"Hello there"`, `["Hello there","Hello there"]`, string(ids), `[` + string(ids) + `,` + string(ids) + `]`} {
		var body struct {
			Object  string
			Choices []struct {
				Text     string
				Logprobs *completionLogprobs
			}
			Usage usageBody
		}
		decode(t, front, "/v1/completions", `{"prompt":`+prompt+`,"max_tokens":8,"temperature":0,"ignore_eos":true,"logprobs":2}`, &body)
		if want == "" {
			want = body.Choices[0].Text
		}
		for _, choice := range body.Choices {
			if choice.Text != want || len(choice.Logprobs.Tokens) != 8 {
				t.Errorf("%s: %+v, want %q", prompt, choice, want)
			}
		}
		if n := len(body.Choices); body.Object != "text_completion" || body.Usage.PromptTokens != n*tokenized.Count {
			t.Errorf("%s: %+v", prompt, body.Usage)
		}
	}
	_, list := events(t, front, "/v1/completions", `{"prompt":"Hello there","max_tokens":8,"temperature":0,"ignore_eos":true,"stream":true}`)
	text := ""
	for _, event := range list[:len(list)-1] {
		var chunk struct{ Choices []struct{ Text string } }
		if err := json.Unmarshal([]byte(event), &chunk); err != nil {
			t.Fatal(err)
		}
		text += chunk.Choices[0].Text
	}
	if text != want {
		t.Errorf("streamed %q, whole %q", text, want)
	}
}

func TestInferStreamEndsWithTheTotals(t *testing.T) {
	_, front := start(t)
	body := `{"prompt":"Hi","max_tokens":20,"temperature":0,"ignore_eos":true%s}`
	var whole struct{ Text string }
	decode(t, front, "/infer", fmt.Sprintf(body, ""), &whole)
	_, list := events(t, front, "/infer", fmt.Sprintf(body, `,"stream":true`))
	text := ""
	var last inferBody
	for _, event := range list[:len(list)-1] {
		if err := json.Unmarshal([]byte(event), &last); err != nil {
			t.Fatal(err)
		}
		text += last.Text
	}
	if text != whole.Text || last.TokensOut != 20 || last.FinishReason != "length" {
		t.Errorf("streamed %q ending with %+v, whole %q", text, last, whole.Text)
	}
}

func TestEmbeddingsHaveLengthOneAndKeepTheirOrder(t *testing.T) {
	_, front := start(t)
	type reply struct {
		Data          []struct{ Embedding []float32 }
		Usage         map[string]int
		Demonstration bool
	}
	var both, first reply
	decode(t, front, "/v1/embeddings", `{"input":["one text","and quite another"]}`, &both)
	decode(t, front, "/v1/embeddings", `{"input":"one text"}`, &first)
	if !both.Demonstration {
		t.Error("the vectors of a demonstration model do not say so")
	}
	for i, entry := range both.Data {
		sum := 0.0
		for _, value := range entry.Embedding {
			sum += float64(value) * float64(value)
		}
		if math.Abs(sum-1) > 1e-5 {
			t.Errorf("embedding %d has length %v", i, math.Sqrt(sum))
		}
	}
	if distance(both.Data[0].Embedding, first.Data[0].Embedding) > 1e-3 || distance(both.Data[1].Embedding, first.Data[0].Embedding) < 1e-2 {
		t.Error("embeddings do not follow their texts")
	}
	if both.Usage["prompt_tokens"] <= first.Usage["prompt_tokens"] {
		t.Errorf("usage: %v and %v", both.Usage, first.Usage)
	}
	var coded struct{ Data []struct{ Embedding string } }
	decode(t, front, "/v1/embeddings", `{"input":"one text","encoding_format":"base64"}`, &coded)
	raw, err := base64.StdEncoding.DecodeString(coded.Data[0].Embedding)
	if err != nil || len(raw) != 4*len(first.Data[0].Embedding) {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if got := math.Float32frombits(binary.LittleEndian.Uint32(raw)); math.Abs(float64(got-first.Data[0].Embedding[0])) > 1e-3 {
		t.Errorf("base64 begins with %v, want %v", got, first.Data[0].Embedding[0])
	}
}

func distance(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]-b[i]) * float64(a[i]-b[i])
	}
	return math.Sqrt(sum)
}

func TestMetricsCountWhatWasDone(t *testing.T) {
	_, front := start(t, WithVLLMMetrics(), WithModelName("first", "second"))
	post(t, front, "/infer", `{"model":"second","prompt":"Hi","max_tokens":7,"ignore_eos":true}`)
	reply, err := front.Client().Get(front.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, _ := io.ReadAll(reply.Body)
	for _, want := range []string{
		`gpubackend_requests_finished_total{`, `gpubackend_time_to_first_token_seconds_count 1`, `gpubackend_busy_seconds_total{`,
		`vllm:num_requests_running{model_name="first"} 0`, `vllm:num_requests_waiting{model_name="first"} 0`,
		`vllm:generation_tokens_total{model_name="first"} 7`, `vllm:kv_cache_usage_perc{model_name="first"} 0`,
		`vllm:prompt_tokens_total{model_name="first"}`, `vllm:time_to_first_token_seconds_count{model_name="first"} 1`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	_, plain := start(t)
	post(t, plain, "/v1/embeddings", `{"input":"Hi"}`)
	other, err := plain.Client().Get(plain.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Body.Close()
	text, _ = io.ReadAll(other.Body)
	if strings.Contains(string(text), "vllm") {
		t.Error("vLLM's names are there unasked")
	}
	for _, want := range []string{`gpubackend_inference_seconds_count 1`, `gpubackend_time_to_first_token_seconds_count 0`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("after an embedding there is no %s in\n%s", want, text)
		}
	}
}

func TestLoadIsReportedOnRequest(t *testing.T) {
	_, front := start(t)
	for format, want := range map[string]string{"": "", "JSON": `JSON {"named_metrics":{"kv_cache_usage_perc":`, "TEXT": "TEXT named_metrics.kv_cache_usage_perc="} {
		request, _ := http.NewRequest(http.MethodPost, front.URL+"/infer", strings.NewReader(`{"prompt":"Hi","max_tokens":1}`))
		request.Header.Set("Endpoint-Load-Metrics-Format", format)
		reply, err := front.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		reply.Body.Close()
		if got := reply.Header.Get("Endpoint-Load-Metrics"); !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("format %q: %q", format, got)
		}
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
