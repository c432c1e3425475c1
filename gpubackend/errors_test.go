package gpubackend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/internal/testkit"
)

func TestFullQueueSaysWhenToComeBack(t *testing.T) {
	leave := make(chan struct{})
	s, front := startGated(t, func(*engine.Batch) error { <-leave; return nil }, WithSlots(1), WithQueue(1, 50*time.Millisecond))
	var clients sync.WaitGroup
	codes := make(chan string, 2)
	send := func() {
		clients.Go(func() {
			reply, text := post(t, front, "/infer", `{"prompt":"Hi","max_tokens":2}`)
			codes <- code(text)
			if reply.StatusCode == http.StatusServiceUnavailable && reply.Header.Get("Retry-After-Ms") == "" {
				t.Error("a 503 without Retry-After-Ms")
			}
		})
	}
	send()
	testkit.Eventually(t, "the first runs", func() bool { return s.scheduler.Status().Running == 1 })
	send()
	testkit.Eventually(t, "the second waits", func() bool { return s.scheduler.Status().Waiting == 1 })
	for path, want := range map[string]int{"/infer": 503, "/v1/chat/completions": 503} {
		body := strings.Replace(endlessChat, `"stream"`, `"prompt":"Hi","stream"`, 1)
		reply, text := post(t, front, path, body)
		if reply.StatusCode != want || code(text) != "queue_full" || reply.Header.Get("Retry-After") == "" {
			t.Errorf("%s on a full queue: %d %v %s", path, reply.StatusCode, reply.Header, text)
		}
	}
	reply, err := front.Client().Get(front.URL + "/ready")
	if err != nil {
		t.Fatal(err)
	}
	if reply.Body.Close(); reply.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/ready on a full queue: %d", reply.StatusCode)
	}
	if got := <-codes; got != "queue_timeout" {
		t.Errorf("the waiting request ended with %q", got)
	}
	close(leave)
	if got := <-codes; got != "" {
		t.Errorf("the running request ended with %q", got)
	}
	clients.Wait()
}

func TestBadRequestsGetOneClearError(t *testing.T) {
	s, front := start(t, WithMaxBody(1<<20), WithContext(256))
	chat := func(fields string) string { return `{"messages":[{"role":"user","content":"Hi"}],` + fields + `}` }
	long := strings.Repeat("word ", 3000)
	biases := `"0":1`
	for id := range 1024 {
		biases += fmt.Sprintf(`,"%d":1`, id+1)
	}
	for name, test := range map[string]struct {
		path, body string
		status     int
		code, says string
	}{
		"no body":                  {"/infer", "", 400, "invalid_json", "not JSON"},
		"no JSON":                  {"/infer", "hello", 400, "invalid_json", "at byte 1"},
		"cut JSON":                 {"/infer", `{"prompt":"Hi`, 400, "invalid_json", "unexpected end"},
		"two values":               {"/infer", `{} {}`, 400, "invalid_json", "after top-level value"},
		"a list":                   {"/infer", `[]`, 400, "invalid_json", "but: array"},
		"deep nesting":             {"/infer", strings.Repeat("[", 500000), 400, "invalid_json", "depth"},
		"invalid UTF-8":            {"/infer", "{\"prompt\":\"\xff\xfe\"}", 400, "invalid_utf8", "not valid UTF-8"},
		"too large":                {"/infer", `{"prompt":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "body_too_large", "1048576"},
		"no prompt":                {"/infer", `{}`, 400, "invalid_value", "prompt and messages"},
		"prompt of a wrong type":   {"/infer", `{"prompt":7}`, 400, "invalid_type", "prompt: a number"},
		"empty messages":           {"/v1/chat/completions", `{"messages":[]}`, 400, "invalid_value", "messages is empty"},
		"no messages":              {"/v1/chat/completions", `{}`, 400, "invalid_value", "messages is empty"},
		"unknown role":             {"/v1/chat/completions", `{"messages":[{"role":"tool","content":"x"}]}`, 400, "invalid_value", `role "tool"`},
		"picture":                  {"/v1/chat/completions", `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 400, "invalid_type", "image_url"},
		"prompt over the context":  {"/infer", `{"prompt":"` + long + `"}`, 400, "context_length_exceeded", "the context holds 256"},
		"text over the context":    {"/v1/completions", `{"prompt":"` + long + `"}`, 400, "context_length_exceeded", "the context holds 256"},
		"input over the context":   {"/v1/embeddings", `{"input":"` + long + `"}`, 400, "context_length_exceeded", "the context holds 256"},
		"temperature below 0":      {"/v1/chat/completions", chat(`"temperature":-0.1`), 400, "invalid_value", "temperature is -0.1"},
		"temperature above 2":      {"/v1/chat/completions", chat(`"temperature":2.5`), 400, "invalid_value", "at most 2"},
		"temperature without end":  {"/v1/chat/completions", chat(`"temperature":1e999`), 400, "invalid_type", "temperature"},
		"temperature as text":      {"/v1/chat/completions", chat(`"temperature":"hot"`), 400, "invalid_type", "temperature"},
		"top_p of 0":               {"/v1/chat/completions", chat(`"top_p":0`), 400, "invalid_value", "top_p is 0, it must be more than 0"},
		"top_p above 1":            {"/v1/chat/completions", chat(`"top_p":1.1`), 400, "invalid_value", "top_p"},
		"min_p above 1":            {"/v1/chat/completions", chat(`"min_p":1.1`), 400, "invalid_value", "min_p"},
		"repeat_penalty of 0":      {"/v1/chat/completions", chat(`"repeat_penalty":0`), 400, "invalid_value", "repeat_penalty"},
		"frequency_penalty of 3":   {"/v1/chat/completions", chat(`"frequency_penalty":3`), 400, "invalid_value", "frequency_penalty"},
		"max_tokens of 0":          {"/infer", `{"prompt":"Hi","max_tokens":0}`, 400, "invalid_value", "max_tokens is 0"},
		"max_tokens below 0":       {"/infer", `{"prompt":"Hi","max_tokens":-5}`, 400, "invalid_value", "max_tokens is -5"},
		"max_tokens with fraction": {"/infer", `{"prompt":"Hi","max_tokens":1.5}`, 400, "invalid_type", "max_tokens"},
		"max_tokens beyond int64":  {"/infer", `{"prompt":"Hi","max_tokens":99999999999999999999}`, 400, "invalid_type", "max_tokens"},
		"n of 0":                   {"/v1/chat/completions", chat(`"n":0`), 400, "invalid_value", "n is 0"},
		"n of 1000":                {"/v1/chat/completions", chat(`"n":1000`), 400, "invalid_value", "n is 1000"},
		"empty stop":               {"/v1/chat/completions", chat(`"stop":""`), 400, "invalid_value", "stop text 0"},
		"long stop":                {"/v1/chat/completions", chat(`"stop":"` + strings.Repeat("x", 300) + `"`), 400, "invalid_value", "300 bytes"},
		"stop of a wrong type":     {"/v1/chat/completions", chat(`"stop":7`), 400, "invalid_type", "list of strings"},
		"many stops":               {"/v1/chat/completions", chat(`"stop":[` + strings.Repeat(`"x",`, 20) + `"x"]`), 400, "invalid_value", "21 stop texts"},
		"bias of a word":           {"/v1/chat/completions", chat(`"logit_bias":{"word":1}`), 400, "invalid_value", "logit_bias"},
		"bias of a foreign token":  {"/v1/chat/completions", chat(`"logit_bias":{"999999":1}`), 400, "invalid_value", "bias for token 999999"},
		"many biases":              {"/v1/chat/completions", chat(`"logit_bias":{` + biases + `}`), 400, "invalid_value", "1025 tokens"},
		"top_logprobs alone":       {"/v1/chat/completions", chat(`"top_logprobs":3`), 400, "invalid_value", "needs logprobs"},
		"too many top_logprobs":    {"/v1/chat/completions", chat(`"logprobs":true,"top_logprobs":21`), 400, "invalid_value", "top_logprobs is 21"},
		"tools":                    {"/v1/chat/completions", chat(`"tools":[{"type":"function"}]`), 400, "unsupported_parameter", "tools"},
		"JSON mode":                {"/v1/chat/completions", chat(`"response_format":{"type":"json_object"}`), 400, "unsupported_parameter", "response_format"},
		"echo":                     {"/v1/completions", `{"prompt":"x","echo":true}`, 400, "unsupported_parameter", "echo"},
		"unknown model":            {"/v1/chat/completions", chat(`"model":"gpt-9"`), 404, "model_not_found", `"gpt-9"`},
		"no completion prompt":     {"/v1/completions", `{}`, 400, "invalid_value", "prompt is missing"},
		"empty completion prompt":  {"/v1/completions", `{"prompt":[]}`, 400, "invalid_value", "0 entries"},
		"prompt of objects":        {"/v1/completions", `{"prompt":[{}]}`, 400, "invalid_value", "token ids"},
		"tokens out of range":      {"/v1/completions", `{"prompt":[1,2,99999]}`, 400, "invalid_value", "prompt token 2 is 99999"},
		"negative tokens":          {"/v1/completions", `{"prompt":[-1]}`, 400, "invalid_value", "prompt token 0 is -1"},
		"many inputs":              {"/v1/embeddings", `{"input":[` + strings.Repeat(`"x",`, 70) + `"x"]}`, 400, "invalid_value", "71 entries"},
		"empty input":              {"/v1/embeddings", `{"input":""}`, 400, "invalid_value", "no tokens"},
		"unknown encoding":         {"/v1/embeddings", `{"input":"x","encoding_format":"int8"}`, 400, "invalid_value", "float or base64"},
		"unknown path":             {"/v2/chat", `{}`, 404, "unknown_path", "nothing"},
		"wrong method":             {"/v1/models", `{}`, 405, "method_not_allowed", "GET"},
		"nothing to tokenise":      {"/tokenize", `{}`, 400, "invalid_value", "missing"},
	} {
		reply, text := post(t, front, test.path, test.body)
		var body struct {
			Error errorBody `json:"error"`
		}
		if err := json.Unmarshal(text, &body); err != nil {
			t.Errorf("%s: %d %q is no JSON", name, reply.StatusCode, text)
			continue
		}
		if reply.StatusCode != test.status || body.Error.Code != test.code || !strings.Contains(body.Error.Message, test.says) || body.Error.Type == "" {
			t.Errorf("%s: %d %s, want %d %s with %q", name, reply.StatusCode, text, test.status, test.code, test.says)
		}
		if strings.Contains(body.Error.Message, "gpubackend.") || len(text) > 1000 {
			t.Errorf("%s: %s tells about the program, or too much", name, text)
		}
	}
	status := s.scheduler.Status()
	if status.Steps != 0 || status.PromptTokens != 0 {
		t.Errorf("a refused request was run: %+v", status)
	}
	var body struct{ Text string }
	decode(t, front, "/infer", `{"prompt":"Hi","max_tokens":2}`, &body)
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
