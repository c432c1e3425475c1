package gpubackend

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
)

// The member that is to blame is named as the caller wrote it.
func TestParamIsTheCallersOwnWord(t *testing.T) {
	_, front := start(t)
	for body, want := range map[string]string{
		`{"prompt":"Hi","max_tokens":1.5}`:                         "max_tokens",
		`{"prompt":"Hi","temperature":"hot"}`:                      "temperature",
		`{"prompt":"Hi","stream_options":{"include_usage":"yes"}}`: "stream_options.include_usage",
		`{"messages":[{"role":7}]}`:                                "messages.role",
		`{"prompt":"Hi","stop":7}`:                                 "stop",
		`{"prompt":"Hi","top_k":-2}`:                               "top_k",
		`{"prompt":"Hi","max_completion_tokens":0}`:                "max_completion_tokens",
	} {
		for _, path := range []string{"/infer", "/v1/chat/completions", "/v1/completions"} {
			_, text := post(t, front, path, body)
			var reply struct{ Error errorBody }
			if err := json.Unmarshal(text, &reply); err != nil {
				t.Fatal(err)
			}
			got := reply.Error
			if path == "/v1/completions" && want == "messages.role" {
				continue // a member that this route does not know
			}
			if got.Param != want || !strings.HasPrefix(got.Message, want) {
				t.Errorf("%s %s: param %q, message %q; want %q", path, body, got.Param, got.Message, want)
			}
		}
	}
}

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

// In llama.cpp and Ollama, from where the name comes, 0 is no window at all.
func TestRepeatWindowOfNothingPenalisesNothing(t *testing.T) {
	_, front := start(t)
	answer := func(fields string) string {
		var body inferBody
		decode(t, front, "/infer", `{"prompt":"What is a credit?","max_tokens":40,"ignore_eos":true,"temperature":0`+fields+`}`, &body)
		return body.Text
	}
	plain, penalised := answer(""), answer(`,"repeat_penalty":5`)
	if plain == penalised {
		t.Fatalf("the penalty changes nothing: %q", plain)
	}
	if got := answer(`,"repeat_penalty":5,"repeat_last_n":0`); got != plain {
		t.Errorf("with a window of nothing: %q, want %q", got, plain)
	}
}

func TestModelWithoutANameIsNotFound(t *testing.T) {
	_, front := start(t)
	reply, err := front.Client().Get(front.URL + "/v1/models/")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if text, _ := io.ReadAll(reply.Body); reply.StatusCode != http.StatusNotFound {
		t.Errorf("%d %s", reply.StatusCode, text)
	}
}

// What a 405 says is allowed is what the path takes.
func TestAllowNamesEveryMethodThatWorks(t *testing.T) {
	_, front := start(t)
	for _, path := range []string{"/health", "/ready", "/queue", "/metrics", "/v1/models", "/v1/models/tiny", "/infer", "/v1/embeddings"} {
		send := func(method string) *http.Response {
			request, err := http.NewRequest(method, front.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			reply, err := front.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			reply.Body.Close()
			return reply
		}
		refused := send(http.MethodPatch)
		allowed := strings.Split(refused.Header.Get("Allow"), ", ")
		if refused.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("PATCH %s: %d", path, refused.StatusCode)
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
			works := send(method).StatusCode != http.StatusMethodNotAllowed
			if works != slices.Contains(allowed, method) {
				t.Errorf("%s %s works: %v, but Allow is %v", method, path, works, allowed)
			}
		}
	}
}

// A member that is understood but not supported is named, and nothing else.
func TestUnsupportedMembersAreNamed(t *testing.T) {
	_, front := start(t)
	for want, request := range map[string][2]string{
		"tools":           {"/v1/chat/completions", `{"tools":[{"type":"function"}]}`},
		"functions":       {"/v1/chat/completions", `{"functions":[{"name":"f"}]}`},
		"response_format": {"/v1/chat/completions", `{"response_format":{"type":"json_schema"}}`},
		"best_of":         {"/v1/completions", `{"prompt":"Hi","best_of":3}`},
		"echo":            {"/v1/completions", `{"prompt":"Hi","echo":true}`},
		"n":               {"/infer", `{"prompt":"Hi","n":2}`},
		"dimensions":      {"/v1/embeddings", `{"input":"Hi","dimensions":3}`},
	} {
		_, text := post(t, front, request[0], request[1])
		var reply struct{ Error errorBody }
		if err := json.Unmarshal(text, &reply); err != nil {
			t.Fatal(err)
		}
		if reply.Error.Code != "unsupported_parameter" || reply.Error.Param != want || !strings.HasPrefix(reply.Error.Message, want) {
			t.Errorf("%s: %s, want the param %q", request[1], text, want)
		}
	}
}

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

// A refusal quotes what is wrong, but not a megabyte of it.
func TestRefusalsAreShortHoweverLongTheMember(t *testing.T) {
	_, front := start(t)
	long := strings.Repeat("1", 1<<20)
	for name, request := range map[string][2]string{
		"number":          {"/infer", `{"prompt":"Hi","max_tokens":` + long + `}`},
		"key of a map":    {"/infer", `{"prompt":"Hi","logit_bias":{"` + long + `":"x"}}`},
		"unknown bias":    {"/infer", `{"prompt":"Hi","logit_bias":{"` + long + `":1}}`},
		"model":           {"/infer", `{"prompt":"Hi","model":"` + long + `"}`},
		"role":            {"/infer", `{"messages":[{"role":"` + long + `"}]}`},
		"part":            {"/infer", `{"messages":[{"role":"user","content":[{"type":"` + long + `"}]}]}`},
		"response format": {"/v1/chat/completions", `{"response_format":{"type":"` + long + `"}}`},
		"encoding":        {"/v1/embeddings", `{"input":"Hi","encoding_format":"` + long + `"}`},
		"token":           {"/v1/completions", `{"prompt":[` + long + `]}`},
		"salt":            {"/infer", `{"prompt":"Hi","cache_salt":"` + long + `"}`},
	} {
		reply, text := post(t, front, request[0], request[1])
		if reply.StatusCode < 400 || reply.StatusCode >= 500 || len(text) > 1000 {
			t.Errorf("%s: %d with %d bytes, %.200s", name, reply.StatusCode, len(text), text)
		}
	}
}
