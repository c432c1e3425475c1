package sdktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/translate"
)

// chatRequest is what the upstream reads of a chat completion.
type chatRequest struct {
	request
	Messages []struct {
		Role       string          `json:"role"`
		Content    json.RawMessage `json:"content"`
		ToolCallID string          `json:"tool_call_id"`
	} `json:"messages"`
	Tools          []json.RawMessage `json:"tools"`
	MaxTokens      int               `json:"max_tokens"`
	Effort         string            `json:"reasoning_effort"`
	ResponseFormat *struct {
		Type string `json:"type"`
	} `json:"response_format"`
}

// chatOnly is an upstream that knows chat completions only. Asked with a tool it calls
// that first, and then repeats what the tool said.
func chatOnly(w http.ResponseWriter, r *http.Request) {
	var call chatRequest
	if r.URL.Path != "/v1/chat/completions" || json.NewDecoder(r.Body).Decode(&call) != nil {
		http.NotFound(w, r)
		return
	}
	if call.Model == "private-refuses" {
		http.Error(w, `{"error":{"message":"the prompt is too long","type":"BadRequestError","code":400}}`, http.StatusBadRequest)
		return
	}
	deltas, reason := call.answer()
	const usage = `{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}`
	if !call.Stream {
		w.Header().Set("Content-Type", "application/json")
		message := map[string]any{"role": "assistant", "content": ""}
		for _, delta := range deltas {
			for name, value := range delta {
				text, isText := value.(string)
				if before, ok := message[name].(string); ok && isText {
					text = before + text
					value = text
				}
				message[name] = value
			}
		}
		if call.calls() {
			message["tool_calls"] = []any{tool("warmth", `{"city":"Rome"}`)}
		}
		body, _ := json.Marshal(message)
		fmt.Fprintf(w, `{"id":"c","model":%q,"choices":[{"index":0,"message":%s,"finish_reason":%q}],"usage":%s}`, call.Model, body, reason, usage)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for _, delta := range deltas {
		body, _ := json.Marshal(delta)
		send(w, `data: {"id":"c","model":%q,"choices":[{"index":0,"delta":%s,"finish_reason":null}]}`, call.Model, body)
	}
	if call.Model == "private-dies" {
		panic(http.ErrAbortHandler)
	}
	send(w, `data: {"id":"c","model":%q,"choices":[{"index":0,"delta":{},"finish_reason":%q}]}`, call.Model, reason)
	if call.StreamOptions.IncludeUsage {
		send(w, `data: {"id":"c","choices":[],"usage":%s}`, usage)
	}
	send(w, "data: [DONE]")
}

func tool(name, arguments string) map[string]any {
	return map[string]any{"index": 0, "id": "call_7", "type": "function", "function": map[string]string{"name": name, "arguments": arguments}}
}

// calls says that the answer is the call of a tool.
func (c *chatRequest) calls() bool {
	return len(c.Tools) > 0 && c.Messages[len(c.Messages)-1].Role == "user"
}

// answer returns the pieces of the answer.
func (c *chatRequest) answer() (deltas []map[string]any, reason string) {
	if c.Effort != "" {
		deltas = append(deltas, map[string]any{"reasoning_content": "let me "}, map[string]any{"reasoning_content": "see"})
	}
	last := c.Messages[len(c.Messages)-1]
	switch {
	case c.MaxTokens == 1:
		return append(deltas, map[string]any{"content": "It"}), "length"
	case c.ResponseFormat != nil:
		return append(deltas, map[string]any{"content": `{"warmth":31}`}), "stop"
	case c.calls():
		rest := map[string]any{"index": 0, "function": map[string]string{"arguments": `"Rome"}`}}
		return append(deltas, map[string]any{"tool_calls": []any{tool("warmth", `{"city":`)}}, map[string]any{"tool_calls": []any{rest}}), "tool_calls"
	case last.Role == "tool" && last.ToolCallID == "call_7":
		var text string
		_ = json.Unmarshal(last.Content, &text)
		return append(deltas, map[string]any{"content": "It is "}, map[string]any{"content": text}), "stop"
	}
	return append(deltas, map[string]any{"content": "It is "}, map[string]any{"content": "warm"}), "stop"
}

// translated is what clients must make of translated answers.
var translated = map[string]expectation{
	"anthropic: message":            {ok: `["tiny",[{"type":"text","text":"It is warm"}],"end_turn",5]`},
	"anthropic: stream":             {ok: `["tiny",[{"type":"text","text":"It is warm"}],"end_turn",5]`},
	"anthropic: events of a stream": {ok: `["message_start","content_block_start","content_block_delta","content_block_delta","content_block_stop","message_delta","message_stop"]`},
	"anthropic: tools":              {ok: `["tool_use","let me see","Rome","end_turn","let me see","It is 31 in Rome",9,5]`},
	"anthropic: tools in a stream":  {ok: `["tool_use","let me see","Rome","end_turn","let me see","It is 31 in Rome",9,5]`},
	"anthropic: cut":                {ok: `"max_tokens"`},
	"anthropic: a server's tool":    {class: "BadRequestError", status: 400},
	"anthropic: mid-stream failure": {class: "APIError"},
	"anthropic: upstream refuses":   {class: "BadRequestError", status: 400},

	"response":           {ok: `["tiny","It is warm","completed",false,14]`},
	"stream":             {ok: `["tiny","It is warm","completed",false,14]`},
	"events of a stream": {ok: `["response.created","response.in_progress","response.output_item.added","response.content_part.added","response.output_text.delta","response.output_text.delta","response.output_text.done","response.content_part.done","response.output_item.done","response.completed"]`},
	"tools":              {ok: `["completed","let me see","{\"city\":\"Rome\"}","completed","let me see","It is 31 in Rome",9,5]`},
	"tools in a stream":  {ok: `["completed","let me see","{\"city\":\"Rome\"}","completed","let me see","It is 31 in Rome",9,5]`},
	"cut":                {ok: `["incomplete","max_output_tokens"]`},
	"a schema":           {ok: `"{\"warmth\":31}"`},
	"a server's tool":    {class: "BadRequestError", status: 400},
	"a memory":           {class: "BadRequestError", status: 400},
	"mid-stream failure": {class: "APIError"},
	"upstream refuses":   {class: "BadRequestError", status: 400},
}

// TestOfficialClientsSpeakWithAnUpstreamThatOnlyChats runs loops of tools, streams and
// failures of the Messages and the Responses API.
func TestOfficialClientsSpeakWithAnUpstreamThatOnlyChats(t *testing.T) {
	folder := install(t)
	testkit.CopyFiles(t, folder, "translated.mjs")
	book := openLedger(t)
	var catalog []middleware.Model
	for _, name := range []string{"tiny", "dies", "refuses"} {
		catalog = append(catalog, middleware.Model{Name: name, UpstreamName: "private-" + name})
	}
	gate := middleware.New(book, limiter.New(), middleware.WithModels(catalog...),
		middleware.WithTranslation(func(string) translate.APIs { return translate.All }))
	gateway := httptest.NewServer(gate(proxyTo(t, chatOnly)))
	defer gateway.Close()
	outcomes := runScript(t, folder, "translated.mjs", gateway.URL, keys(t, book))
	for name, want := range translated {
		names := []string{name}
		if _, ok := outcomes[name]; !ok {
			names = []string{"openai 7: " + name, "openai 6: " + name}
		}
		for _, name := range names {
			got, ok := outcomes[name]
			if !ok || want.ok != string(got.OK) || want.class != got.Class || want.status != got.Status {
				t.Errorf("%s: %+v, result %s; want %+v", name, got, got.OK, want)
			}
		}
	}
}
