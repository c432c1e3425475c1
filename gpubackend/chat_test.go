package gpubackend

import (
	"encoding/json"
	"testing"
)

// OpenAI's clients walk the list of alternatives of each token, asked for or not.
func TestLogprobsAlwaysListTheAlternatives(t *testing.T) {
	_, front := start(t)
	for fields, want := range map[string]int{`"logprobs":true`: 0, `"logprobs":true,"top_logprobs":2`: 2} {
		var body struct {
			Choices []struct {
				Logprobs struct {
					Content []map[string]json.RawMessage
				}
			}
		}
		decode(t, front, "/v1/chat/completions", `{"messages":[{"role":"user","content":"Hi"}],"max_tokens":2,"ignore_eos":true,`+fields+`}`, &body)
		for _, token := range body.Choices[0].Logprobs.Content {
			var top []map[string]json.RawMessage
			if err := json.Unmarshal(token["top_logprobs"], &top); err != nil || top == nil || len(top) != want {
				t.Errorf("%s: top_logprobs is %s, want a list of %d", fields, token["top_logprobs"], want)
			}
			for _, one := range top {
				if _, nested := one["top_logprobs"]; nested {
					t.Errorf("%s: an alternative has alternatives: %v", fields, one)
				}
			}
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
