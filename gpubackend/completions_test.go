package gpubackend

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
)

// As OpenAI has it, the token that was drawn is among the alternatives even where
// it is none of the likeliest, and what is no text by itself is told by its bytes.
func TestCompletionLogprobsHaveTheDrawnTokenAndTellBytesApart(t *testing.T) {
	config := testmodel.Tiny()
	path := filepath.Join(t.TempDir(), "random.gguf")
	if err := os.WriteFile(path, testmodel.Build(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, front := start(t, WithModelFile(path))
	var body struct {
		Choices []struct{ Logprobs completionLogprobs }
	}
	_, text := post(t, front, "/v1/completions", `{"prompt":"Hi","max_tokens":100,"temperature":2,"seed":1,"ignore_eos":true,"logprobs":1}`)
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatal(err)
	}
	lists, bytes, unlikely := body.Choices[0].Logprobs, 0, 0
	for i, token := range lists.Tokens {
		if strings.Contains(token, "\uFFFD") {
			t.Errorf("token %d is %q, which stands for many", i, token)
		}
		if strings.HasPrefix(token, `bytes:\x`) {
			bytes++
		}
		if got, ok := lists.TopLogprobs[i][token]; !ok || got != lists.TokenLogprobs[i] {
			t.Errorf("token %d, %q with %v, is not in %v", i, token, lists.TokenLogprobs[i], lists.TopLogprobs[i])
		}
		if len(lists.TopLogprobs[i]) == 2 {
			unlikely++
		}
	}
	if len(lists.Tokens) != 100 || bytes == 0 || unlikely == 0 {
		t.Errorf("%d tokens, %d of bytes, %d unlikely ones", len(lists.Tokens), bytes, unlikely)
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
