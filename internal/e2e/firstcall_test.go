package e2e

import (
	"bufio"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestBootstrapWritesTwoPrivateKeyFilesAndLogsNoKey(t *testing.T) {
	i := exampleInstance(t, nil)
	i.start()
	for name, role := range map[string]string{"admin": "a", "demo": "m"} {
		path := filepath.Join(i.data, name+".key")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s.key has mode %o, want 600", name, mode)
		}
		text, _ := os.ReadFile(path)
		if !regexp.MustCompile(`^[a-z]+_` + role + `_[0-9A-Za-z]+\n$`).Match(text) {
			t.Errorf("%s.key is not a key and a newline", name)
		}
		if !strings.Contains(i.log.String(), name+".key") {
			t.Errorf("the log does not name %s.key", name)
		}
	}
	i.call("POST", "/api/infer", i.key("demo"), `{"prompt":"What is a credit?"}`)
	i.stop()
	i.assertNoKeyText()
}

// assertNoKeyText reads the log and every file of the data directory but the
// two key files, and fails if a demo key's secret stands in one of them.
func (i *instance) assertNoKeyText() {
	i.t.Helper()
	for _, name := range []string{"admin", "demo"} {
		secret := i.key(name)
		if strings.Contains(i.log.String(), secret) {
			i.t.Errorf("the log contains the %s key", name)
		}
		filepath.WalkDir(i.data, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.HasSuffix(path, ".key") {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if strings.Contains(string(content), secret) {
				i.t.Errorf("%s contains the %s key", filepath.Base(path), name)
			}
			return nil
		})
	}
}

func TestInferAnswersWithTextAndTokens(t *testing.T) {
	i := exampleInstance(t, nil)
	i.start()
	answer := i.call("POST", "/api/infer", i.key("demo"), `{"prompt":"What is a credit?"}`)
	var body struct {
		Text      *string `json:"text"`
		TokensIn  int     `json:"tokens_in"`
		TokensOut int     `json:"tokens_out"`
	}
	if err := json.Unmarshal([]byte(answer.body), &body); err != nil || answer.status != 200 {
		t.Fatalf("status %d, %v: %s", answer.status, err, answer.body)
	}
	if body.Text == nil || *body.Text == "" || body.TokensIn < 1 || body.TokensOut < 1 {
		t.Fatalf("incomplete answer: %s", answer.body)
	}
}

const chatBody = `{"model":"tiny","messages":[{"role":"user","content":"What is a credit?"}],"max_tokens":24,"temperature":0}`

func TestChatCompletionAnswersAndStreamsTheSameText(t *testing.T) {
	i := exampleInstance(t, nil)
	i.start()
	whole := i.call("POST", "/v1/chat/completions", i.key("demo"), chatBody)
	var completion struct {
		Choices []struct {
			Message struct{ Content string }
		}
		Usage struct {
			PromptTokens     int `json:"prompt_tokens"`
			CompletionTokens int `json:"completion_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(whole.body), &completion); err != nil || whole.status != 200 || len(completion.Choices) != 1 {
		t.Fatalf("status %d, %v: %s", whole.status, err, whole.body)
	}
	if completion.Usage.PromptTokens < 1 || completion.Usage.CompletionTokens < 1 {
		t.Errorf("no usage: %s", whole.body)
	}

	stream := i.call("POST", "/v1/chat/completions", i.key("demo"), strings.Replace(chatBody, "{", `{"stream":true,`, 1))
	if kind := stream.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		t.Errorf("content type %q of a stream", kind)
	}
	text, usage := streamedText(t, stream.body)
	if text != completion.Choices[0].Message.Content {
		t.Errorf("streamed %q, whole answer %q", text, completion.Choices[0].Message.Content)
	}
	if usage {
		t.Error("the stream carries usage that the client did not ask for")
	}
	if !strings.HasSuffix(strings.TrimSpace(stream.body), "data: [DONE]") {
		t.Error("the stream does not end with [DONE]")
	}
}

// streamedText joins the deltas of a chat stream and reports whether any chunk
// carried usage.
func streamedText(t *testing.T, body string) (text string, usage bool) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found || data == "[DONE]" {
			continue
		}
		var chunk struct {
			Choices []struct{ Delta struct{ Content string } }
			Usage   *struct{}
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			t.Fatalf("chunk %q: %v", data, err)
		}
		usage = usage || chunk.Usage != nil
		for _, choice := range chunk.Choices {
			text += choice.Delta.Content
		}
	}
	return text, usage
}

func TestRefusalsOfTheBinary(t *testing.T) {
	i := exampleInstance(t, nil)
	i.start()
	admin, demo := i.key("admin"), i.key("demo")
	revokedID, revoked := i.createKey(admin, `{"name":"revoked","owner":"demo"}`)
	if answer := i.call("DELETE", "/admin/v1/keys/"+revokedID, admin, ""); answer.status/100 != 2 {
		t.Fatalf("revoking: status %d: %s", answer.status, answer.body)
	}
	_, poor := i.createKey(admin, `{"name":"poor","owner":"nobody-topped-up"}`)
	_, slow := i.createKey(admin, `{"name":"slow","owner":"demo","limits":{"rpm":1,"tpm":100000}}`)
	i.call("POST", "/v1/chat/completions", slow, chatBody)

	before := i.call("GET", "/admin/v1/entries?after=0", admin, "").body
	unauthorized := ""
	for _, test := range []struct {
		name, key, path, body string
		status                int
	}{
		{"no key", "", "/v1/chat/completions", chatBody, 401},
		{"malformed key", "x", "/v1/chat/completions", chatBody, 401},
		{"wrong secret", demo[:len(demo)-3] + "000", "/v1/chat/completions", chatBody, 401},
		{"revoked key", revoked, "/v1/chat/completions", chatBody, 401},
		{"admin key", admin, "/v1/chat/completions", chatBody, 403},
		{"unknown model", demo, "/v1/chat/completions", strings.Replace(chatBody, "tiny", "huge", 1), 404},
		{"unknown path", demo, "/v1/files", chatBody, 404},
		{"no credit", poor, "/v1/chat/completions", chatBody, 402},
		{"over the limit", slow, "/v1/chat/completions", chatBody, 429},
		{"too large", demo, "/v1/chat/completions", `{"model":"tiny","x":"` + strings.Repeat("x", 10<<20) + `"}`, 413},
		{"not JSON", demo, "/v1/chat/completions", `{"model":`, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := i.call("POST", test.path, test.key, test.body)
			if answer.status != test.status {
				t.Fatalf("status %d, want %d: %s", answer.status, test.status, answer.body)
			}
			switch test.status {
			case http.StatusUnauthorized:
				same := withoutRequestID(answer.body)
				if unauthorized == "" {
					unauthorized = same
				}
				if same != unauthorized {
					t.Errorf("body %q, want %q", same, unauthorized)
				}
			case http.StatusTooManyRequests:
				assertTruthfulWait(t, answer)
			}
		})
	}
	if after := i.call("GET", "/admin/v1/entries?after=0", admin, "").body; after != before {
		t.Errorf("refusals wrote entries:\n%s\nwas\n%s", after, before)
	}
}

var requestID = regexp.MustCompile(`"request_id":"[^"]*"`)

func withoutRequestID(body string) string { return requestID.ReplaceAllString(body, `"request_id":""`) }

// assertTruthfulWait checks that the three forms of the wait agree and lie in
// the minute that a window lasts.
func assertTruthfulWait(t *testing.T, answer reply) {
	t.Helper()
	var body struct {
		RetryAfter int64 `json:"retry_after_ms"`
	}
	if err := json.Unmarshal([]byte(answer.body), &body); err != nil {
		t.Fatal(err)
	}
	milliseconds, _ := strconv.ParseInt(answer.header.Get("Retry-After-Ms"), 10, 64)
	seconds, _ := strconv.ParseInt(answer.header.Get("Retry-After"), 10, 64)
	if body.RetryAfter < 1 || body.RetryAfter > 60_000 || milliseconds != body.RetryAfter || seconds != (milliseconds+999)/1000 {
		t.Errorf("retry_after_ms %d, retry-after-ms %d, retry-after %d", body.RetryAfter, milliseconds, seconds)
	}
}

// createKey makes a key over the admin API and returns its id and text.
func (i *instance) createKey(admin, body string) (id, text string) {
	i.t.Helper()
	answer := i.call("POST", "/admin/v1/keys", admin, body)
	var key struct{ ID, Key string }
	if err := json.Unmarshal([]byte(answer.body), &key); err != nil || answer.status != 201 || key.Key == "" {
		i.t.Fatalf("creating a key: status %d, %v", answer.status, err)
	}
	return key.ID, key.Key
}
