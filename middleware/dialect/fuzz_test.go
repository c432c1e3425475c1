package dialect

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// FuzzRequest holds the request reader against encoding/json: what both accept
// means the same to both, and what is rewritten stays valid and means the same.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":7,"stream":true}`,
		`{"model":"m\u0041","stream_options":{"include_usage":false,"x":[1,{"y":"]}\\\""}]},"stream":true}`,
		`{ "n" : 3 , "model" : null, "options":{"num_predict":-1}}`, `{}`, `{"":{}}`, `{"a":"\\"}`, "{\"model\":\"\u212a\"}", `[{}]`, `{"model":"a","Model":"b"}`,
	} {
		f.Add([]byte(body), uint8(0))
	}
	paths := []string{"/v1/chat/completions", "/v1/completions", "/api/chat", "/generate_stream", "/completion", "/api/v2/execute/m"}
	f.Fuzz(func(t *testing.T, body []byte, which uint8) {
		route := route(t, paths[int(which)%len(paths)])
		call, err := ReadRequest(route, body)
		if err != nil {
			return
		}
		var oracle map[string]json.RawMessage
		if json.Unmarshal(body, &oracle) != nil {
			return // the upstream refuses it, whatever was read
		}
		var model *string
		if raw, ok := oracle["model"]; ok && json.Unmarshal(raw, &model) != nil {
			t.Fatalf("a model that is no string is accepted: %s", body)
		}
		if model != nil && *model != call.Model || model == nil && call.Model != "" {
			t.Fatalf("model %q, encoding/json reads %v in %s", call.Model, model, body)
		}
		var stream bool
		if raw, ok := oracle["stream"]; ok {
			_ = json.Unmarshal(raw, &stream)
		}
		if stream && !call.Stream {
			t.Fatalf("a stream is missed in %s", body)
		}
		for _, name := range []string{"max_tokens", "max_completion_tokens", "n_predict", "max_output_tokens"} {
			var number int64
			if json.Unmarshal(oracle[name], &number) == nil && number > call.OutputCap {
				t.Fatalf("%s is %d in %s, the cap is %d", name, number, body, call.OutputCap)
			}
		}
		checkRewrite(t, route, body, &call)
	})
}

func checkRewrite(t *testing.T, route Route, body []byte, call *Call) {
	out := call.Apply(body, Rewrite{Model: "other", OutputCap: 77, IncludeUsage: true, ContinuousUsage: true})
	var members map[string]json.RawMessage
	if err := json.Unmarshal(out, &members); err != nil || string(members["model"]) != `"other"` {
		t.Fatalf("%s\nbecame\n%s: %v", body, out, err)
	}
	again, err := ReadRequest(route, out)
	if err != nil || again.Model != "other" || again.OutputCap == 0 && route.Operation != Completions && call.OutputCap == 0 {
		t.Fatalf("%s\nbecame\n%s: cap %d, %v", body, out, again.OutputCap, err)
	}
	if call.Stream && route.Operation == Chat && !again.IncludeUsage {
		t.Fatalf("%s\nbecame\n%s: no usage", body, out)
	}
}

// FuzzMeter checks that a stream gives the same events and the same usage
// however it is cut, and whether events are read by the frame of the one before or
// each by itself, that nothing panics and that nothing is lost.
func FuzzMeter(f *testing.F) {
	for i, test := range streamCases {
		f.Add([]byte(test.stream), uint16(i*7), uint8(i))
	}
	for i, totals := range totalCases {
		f.Add([]byte(sse(totals...)), uint16(i), uint8(0))
		f.Add([]byte(sse(totals...)), uint16(i), uint8(5))
	}
	f.Add([]byte("data: {\"usage\":{\"prompt_tokens\":-9e9}\n\r\n\n\n:x\n\ndata:\n\n"), uint16(3), uint8(0))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16, which uint8) {
		test := streamCases[int(which)%len(streamCases)]
		run := func(pieces ...[]byte) (tape, Usage, bool, int64) {
			meter := NewMeter(&test.call, test.strip)
			var out tape
			for _, piece := range pieces {
				if err := meter.Stream(test.format, bytes.Clone(piece), &out); err != nil {
					t.Fatal(err)
				}
			}
			if err := meter.Flush(&out); err != nil {
				t.Fatal(err)
			}
			usage, ok := meter.Reported()
			return out, usage, ok, meter.Counted()
		}
		at := int(cut) % (len(stream) + 1)
		whole, usage, ok, counted := run(stream)
		parts, usage2, ok2, counted2 := run(stream[:at], stream[at:])
		if whole.passed.String() != parts.passed.String() || whole.last.String() != parts.last.String() {
			t.Fatalf("cut at %d:\n%q %q\n%q %q", at, whole.passed.String(), whole.last.String(), parts.passed.String(), parts.last.String())
		}
		if usage != usage2 || ok != ok2 || counted != counted2 {
			t.Fatalf("cut at %d: %+v %v %d, whole %+v %v %d", at, usage2, ok2, counted2, usage, ok, counted)
		}
		if usage.Input < 0 || usage.Output < 0 || usage.Cached > usage.Input {
			t.Fatalf("usage %+v", usage)
		}
		checkFrames(t, &test.call, test.strip, stream)
		if !test.strip && whole.passed.Len()+whole.last.Len() != len(stream) {
			t.Fatalf("%d of %d bytes passed", whole.passed.Len()+whole.last.Len(), len(stream))
		}
	})
}

// checkFrames reads a stream of JSON events with and without frames.
func checkFrames(t *testing.T, call *Call, strip bool, stream []byte) {
	t.Helper()
	meters := [2]Meter{NewMeter(call, strip), NewMeter(call, strip)}
	var tapes [2]tape
	for event := range bytes.SplitAfterSeq(stream, []byte("\n\n")) {
		data, isData := dataOf(event)
		if !isData || !json.Valid(data) {
			return // of what is no JSON, the frame may hide what a search finds
		}
		meters[0].frame = frame{}
		for i := range meters {
			if err := meters[i].Stream(SSE, event, &tapes[i]); err != nil {
				t.Fatal(err)
			}
		}
		alone, aloneOK := meters[0].Reported()
		framed, framedOK := meters[1].Reported()
		if alone != framed || aloneOK != framedOK || tapes[0].passed.String() != tapes[1].passed.String() || tapes[0].last.String() != tapes[1].last.String() {
			t.Fatalf("%q in %q:\nby itself %+v %v %q\nby its frame %+v %v %q", event, stream,
				alone, aloneOK, tapes[0].passed.String(), framed, framedOK, tapes[1].passed.String())
		}
	}
}

// FuzzBody holds the walker against encoding/json on one shape.
func FuzzBody(f *testing.F) {
	for _, test := range bodyCases {
		f.Add([]byte(test.body), uint16(9))
	}
	f.Fuzz(func(t *testing.T, body []byte, cut uint16) {
		at := int(cut) % (len(body) + 1)
		meter := NewMeter(&Call{}, false)
		meter.Body(body[:at])
		meter.Body(body[at:])
		usage, ok := meter.Reported()
		if ok && (usage.Input < 0 || usage.Output < 0) {
			t.Fatalf("usage %+v", usage)
		}
		var shape struct {
			Usage *struct {
				PromptTokens     json.RawMessage `json:"prompt_tokens"`
				CompletionTokens json.RawMessage `json:"completion_tokens"`
			} `json:"usage"`
		}
		if !utf8.Valid(body) || json.Unmarshal(body, &shape) != nil || shape.Usage == nil || !plain(body) {
			return
		}
		input, okIn := jsonscan.ParseInteger(shape.Usage.PromptTokens)
		output, okOut := jsonscan.ParseInteger(shape.Usage.CompletionTokens)
		if okIn && okOut && input > 0 && input < 1<<50 && output > 0 && output < 1<<50 && (!ok || usage.Input != input || usage.Output != output) {
			t.Fatalf("%s: %+v %v, encoding/json reads %d and %d", body, usage, ok, input, output)
		}
	})
}

// plain says that a text has each name only once and in the spelling that
// encoding/json and the walker agree on.
func plain(body []byte) bool {
	text := strings.ToLower(string(body))
	for _, name := range []string{`"usage"`, `"prompt_tokens"`, `"completion_tokens"`} {
		if strings.Count(text, name) != 1 || !bytes.Contains(body, []byte(name)) {
			return false
		}
	}
	for _, other := range []string{"\\", "input", "output", "tokens_", "_tokens_", "_count", "generated", "cache", "message", "response", "details", "meta_info", "[{", "ſ", "\u212a"} {
		if strings.Contains(strings.ReplaceAll(strings.ReplaceAll(text, "prompt_tokens", ""), "completion_tokens", ""), other) {
			return false
		}
	}
	return true
}
