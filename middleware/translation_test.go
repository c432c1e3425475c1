package middleware_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/translate"
)

// translating makes a gate translate everything that can be.
func translating() middleware.Option {
	return middleware.WithTranslation(func(string) translate.APIs { return translate.All })
}

const (
	messageBody   = `{"model":"tiny","max_tokens":40,"system":"Be short.","messages":[{"role":"user","content":"hi"}]}`
	messageStream = `{"model":"tiny","max_tokens":40,"stream":true,"messages":[{"role":"user","content":"hi"}]}`
	responseBody  = `{"model":"tiny","max_output_tokens":40,"instructions":"Be short.","input":"hi"}`
	responsesSSE  = `{"model":"tiny","max_output_tokens":40,"stream":true,"input":"hi"}`
)

func TestCallsAreTranslatedForUpstreamsThatOnlyChat(t *testing.T) {
	var seen []string
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, r.URL.RequestURI()+" "+string(body))
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		chat(w, r)
	}, ledger.NewKey{}, translating(), middleware.WithModels(middleware.Model{Name: "tiny", UpstreamName: "org/tiny"}))
	for _, test := range []struct{ path, body, sent, want string }{
		{
			"/v1/messages?beta=true", messageBody,
			`{"model":"org/tiny","messages":[{"role":"system","content":"Be short."},{"role":"user","content":"hi"}],"max_tokens":40}`,
			`"type":"message","role":"assistant","model":"tiny","content":[{"type":"text","text":"four"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":9,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":3}}`,
		},
		{
			"/v1/messages", messageStream,
			`{"model":"org/tiny","messages":[{"role":"user","content":"hi"}],"max_tokens":40,"stream":true,"stream_options":{"include_usage":true}}`,
			"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		},
		{
			"/v1/responses", responseBody,
			`{"model":"org/tiny","messages":[{"role":"system","content":"Be short."},{"role":"user","content":"hi"}],"max_tokens":40}`,
			`"model":"tiny","output":[{"id":"msg_`,
		},
		{
			"/v1/responses", responsesSSE,
			`{"model":"org/tiny","messages":[{"role":"user","content":"hi"}],"max_tokens":40,"stream":true,"stream_options":{"include_usage":true}}`,
			`"usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":0},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12}`,
		},
	} {
		got := h.post(test.path, test.body)
		if got.status != 200 || !strings.Contains(got.body, test.want) || strings.Contains(got.body, "org/tiny") {
			t.Errorf("%s: %d %s", test.path, got.status, got.body)
		}
		if want := "/v1/chat/completions " + test.sent; seen[len(seen)-1] != want {
			t.Errorf("the upstream saw\n%s\nwant\n%s", seen[len(seen)-1], want)
		}
		charged := got.header.Get("X-Penstock-Credits-Charged") + got.trailer.Get("X-Penstock-Credits-Charged")
		entries := h.entries()
		if entry := entries[len(entries)-1]; entry.Usage != ledger.UsageReported || entry.Quantity.InputTokens != 9 ||
			entry.Quantity.OutputTokens != 3 || charged != entry.Amount.String() {
			t.Errorf("%s: charged %q, entry %+v", test.path, charged, entry)
		}
	}
}

// An upstream's errors reach callers in the shape of their own API, and cost nothing
// where nothing was produced.
func TestErrorsOfTranslatedCallsHaveTheCallersShape(t *testing.T) {
	const word = "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n"
	const tool = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}},{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\"}}]}}]}\n\n"
	for name, test := range map[string]struct {
		status            int
		media, reply      string
		body              string // of the call
		wantStatus        int
		want, type_       string
		charged, streamed bool
	}{
		"refused":            {400, "application/json", `{"error":{"message":"too long","type":"BadRequest"}}`, messageBody, 400, `"message":"too long"`, "invalid_request_error", false, false},
		"busy":               {503, "application/json", `{"error":{"message":"busy"}}`, messageBody, 529, "the upstream is busy", "overloaded_error", false, false},
		"no chat":            {200, "application/json", `{"choices":[]}`, messageBody, 502, "is not a chat completion", "api_error", false, false},
		"no chat, a stream":  {200, "application/json", `{"choices":[]}`, messageStream, 502, "is not a chat completion", "api_error", false, false},
		"lines of JSON":      {200, "application/x-ndjson", "{}\n{}\n", messageStream, 502, "is not a chat completion", "api_error", false, false},
		"an error at once":   {200, "text/event-stream", "data: {\"error\":{\"message\":\"too long\",\"code\":400}}\n\n", messageStream, 200, "too long", "api_error", false, true},
		"an error later":     {200, "text/event-stream", word + "data: {\"error\":{\"message\":\"out of memory\"}}\n\ndata: [DONE]\n\n", messageStream, 200, "failed before the answer was complete", "api_error", true, true},
		"a cut":              {200, "text/event-stream", word, messageStream, 200, "failed before the answer was complete", "api_error", true, true},
		"interleaved tools":  {200, "text/event-stream", tool + "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\ndata: [DONE]\n\n", messageStream, 200, "failed before the answer was complete", "api_error", true, true},
		"a cut response":     {200, "text/event-stream", word, responsesSSE, 200, "failed before the answer was complete", "api_error", true, true},
		"a refused response": {404, "application/json", `{"error":{"message":"no such model"}}`, responseBody, 404, "no such model", "not_found_error", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", test.media)
				w.WriteHeader(test.status)
				io.WriteString(w, test.reply)
			}, ledger.NewKey{}, translating())
			path := "/v1/messages"
			if strings.Contains(test.body, `"input"`) {
				path = "/v1/responses"
			}
			got := h.post(path, test.body)
			if got.status != test.wantStatus || !strings.Contains(got.body, test.want) || !strings.Contains(got.body, `"type":"`+test.type_+`"`) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if strings.Contains(got.body, "event: error\ndata: {") != test.streamed || strings.Contains(got.body, "message_stop") || strings.Contains(got.body, "response.completed") {
				t.Errorf("an error that ends no stream, or the end of one: %s", got.body)
			}
			h.reports.nth(t, 1)
			if spent := h.account().Spent; spent > 0 != test.charged {
				t.Errorf("charged %d, want %v", spent, test.charged)
			}
		})
	}
}

func TestWhatCannotBeTranslatedReachesNoUpstream(t *testing.T) {
	reached := 0
	h := build(t, func(w http.ResponseWriter, r *http.Request) { reached++; chat(w, r) }, ledger.NewKey{}, translating())
	for body, want := range map[string]string{
		`{"model":"tiny","input":"q","tools":[{"type":"web_search"}]}`: "tools[0].type",
		`{"model":"tiny","input":"q","previous_response_id":"r"}`:      "previous_response_id",
		`{"model":"tiny","input":[{"type":"item_reference"}]}`:         "input[0].type",
	} {
		got := h.post("/v1/responses", body)
		if got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	if got := h.post("/v1/messages", `{"model":"tiny","max_tokens":9,"messages":[{"role":"user","content":[{"type":"x"}]}]}`); got.status != 400 || !strings.Contains(got.body, `"type":"error"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	if h.untouched(); reached != 0 {
		t.Errorf("%d calls reached the upstream", reached)
	}
}

// Each event leaves when its chunk comes, and the end only with the charge.
func TestATranslatedStreamIsNotBuffered(t *testing.T) {
	next := make(chan struct{})
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, event := range []string{
			"data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n",
			"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", // and no [DONE]
		} {
			io.WriteString(w, event)
			w.(http.Flusher).Flush()
			<-next
		}
	}, ledger.NewKey{}, translating())
	for _, test := range []struct{ path, body, first, last string }{
		{"/v1/messages", messageStream, `"text":"one"`, "message_stop"},
		{"/v1/responses", responsesSSE, `"delta":"one"`, "response.completed"},
	} {
		request, _ := http.NewRequest("POST", h.gateway.URL+test.path, strings.NewReader(test.body))
		request.Header.Set("X-Api-Key", h.text)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		seen := ""
		for buffer := make([]byte, 4096); !strings.Contains(seen, test.first); {
			n, err := response.Body.Read(buffer)
			if seen += string(buffer[:n]); err != nil {
				t.Fatalf("%v after %s", err, seen)
			}
		}
		next <- struct{}{}
		next <- struct{}{}
		rest, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !strings.Contains(string(rest), test.last) || strings.Contains(seen, test.last) {
			t.Errorf("%v\n%s\nthen\n%s", err, seen, rest)
		}
		entries := h.entries()
		if entry := entries[len(entries)-1]; entry.Outcome != ledger.OutcomeOK || entry.Usage != ledger.UsageCounted || entry.Quantity.OutputTokens != 1 {
			t.Errorf("%+v", entry)
		}
	}
}

// The cap that the gate chose goes to the upstream as a chat's.
func TestATranslatedCallIsCapped(t *testing.T) {
	var seen string
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = string(body)
		r.Body = io.NopCloser(strings.NewReader(seen))
		chat(w, r)
	}, ledger.NewKey{}, translating(), middleware.WithModels(middleware.Model{Name: "tiny", MaxOutputTokens: 77, ContinuousUsage: true}))
	if got := h.post("/v1/responses", `{"model":"tiny","input":"q","stream":true}`); got.status != 200 || !strings.Contains(seen, `"max_tokens":77,`) || !strings.Contains(seen, `"continuous_usage_stats":true`) {
		t.Errorf("%d, the upstream saw %s", got.status, seen)
	}
	if got := h.post("/v1/responses", `{"model":"tiny","input":"q","max_output_tokens":78}`); got.status != 400 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAPathThatAKindLacksIsExplained(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		middleware.NoteUpstream(r.Context(), middleware.Upstream{Kind: "penstock"})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"error":{"message":"no such path"}}`)
	})
	for path, want := range map[string]string{
		"/api/chat":            "which has no /api/chat; /v1/chat/completions works with every kind",
		"/completion":          "which has no /completion; ",
		"/v1/messages":         "which has no /v1/messages; ",
		"/v1/chat/completions": "no such path",
	} {
		got := h.post(path, `{"model":"tiny","max_tokens":9,"prompt":"q","messages":[{"role":"user","content":"q"}]}`)
		if got.status != 404 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
