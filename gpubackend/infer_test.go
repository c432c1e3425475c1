package gpubackend

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The prompt is the last turn a second time only if the caller said it, not if
// the assistant happened to say the same.
func TestPromptThatEchoesTheAssistantIsATurn(t *testing.T) {
	_, front := start(t)
	count := func(body string) int {
		var reply inferBody
		decode(t, front, "/infer", body, &reply)
		return reply.TokensIn
	}
	said := `{"role":"user","content":"Hello"},{"role":"assistant","content":"Hi"}`
	without := count(`{"max_tokens":1,"messages":[` + said + `]}`)
	if with := count(`{"max_tokens":1,"prompt":"Hi","messages":[` + said + `]}`); with <= without {
		t.Errorf("the prompt was dropped: %d tokens with it, %d without", with, without)
	}
	twice := count(`{"max_tokens":1,"prompt":"Hello","messages":[{"role":"user","content":"Hello"}]}`)
	if once := count(`{"max_tokens":1,"messages":[{"role":"user","content":"Hello"}]}`); twice != once {
		t.Errorf("the last turn sent twice has %d tokens, sent once %d", twice, once)
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
