package dialect

import (
	"bytes"
	"strings"
	"testing"
)

// tape is a Sink that keeps what it is given.
type tape struct {
	passed, last bytes.Buffer
	fail         error
}

func (t *tape) Pass(events []byte) error { t.passed.Write(events); return t.fail }

func (t *tape) Last(events []byte) error { t.last.Write(events); return t.fail }

const (
	delta    = `{"id":"c","choices":[{"index":0,"delta":{"content":"four"},"finish_reason":null}]}`
	finish   = `{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	sumOf    = `{"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}}`
	zeroSum  = `{"id":"c","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}`
	running  = `{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`
	doneLine = "data: [DONE]\n\n"
)

// sse makes a stream of data events.
func sse(events ...string) string {
	var text strings.Builder
	for _, event := range events {
		text.WriteString("data: " + event + "\n\n")
	}
	return text.String()
}

// streamCases are recorded shapes of each server's stream.
var streamCases = []struct {
	name   string
	call   Call
	strip  bool
	format Format
	stream string
	passed string // "": everything but last
	last   string
	usage  Usage
	tokens int64 // counted
}{
	{"OpenAI", Call{Route: Route{Spec: &chatSpec}}, false, SSE, sse(delta, delta, finish, sumOf) + doneLine, "", doneLine, Usage{Input: 9, Cached: 4, Output: 3}, 2},
	{
		"OpenAI, the last text with everything else",
		Call{Route: Route{Spec: &chatSpec}},
		false, SSE,
		sse(delta, `{"id":"c","choices":[{"index":0,"delta":{"content":"four"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`) + doneLine, "", doneLine,
		Usage{Input: 9, Cached: 0, Output: 3},
		2,
	},
	{"OpenAI, usage taken out", Call{Route: Route{Spec: &chatSpec}}, true, SSE, sse(delta, finish, sumOf) + doneLine, sse(delta, finish), doneLine, Usage{Input: 9, Cached: 4, Output: 3}, 1},
	{
		"OpenAI, CRLF and comments",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		": ping\r\n\r\ndata:" + delta + "\r\n\r\nid: 7\r\ndata: " + sumOf + "\r\n\r\ndata: [DONE]\r\n\r\n", ": ping\r\n\r\ndata:" + delta + "\r\n\r\n", "data: [DONE]\r\n\r\n",
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"vLLM, null usage on every chunk",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		sse(strings.Replace(delta, "]}", `],"usage":null}`, 1), sumOf) + doneLine, sse(delta), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"vLLM, running totals",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE, sse(running, sumOf) + doneLine,
		sse(`{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}`), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"Ollama, zeros before the figures",
		Call{Route: Route{Spec: &completionsSpec}},
		true, SSE, sse(zeroSum, `{"choices":[{"text":"a"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}`, sumOf) + doneLine,
		sse(`{"choices":[{"text":"a"}]}`), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"Anthropic",
		Call{Route: Route{Spec: &messagesSpec}},
		true, SSE,
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n" +
			"event: ping\ndata: {\"type\": \"ping\"}\n\n" +
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n" +
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":0,\"output_tokens\":12}}\n\n" +
			"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		Usage{Input: 11, Cached: 4, Output: 12},
		1,
	},
	{
		"Responses",
		Call{Route: Route{Spec: &responsesSpec}},
		true, SSE,
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n" +
			"event: response.completed\ndata: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":2}},\"type\":\"response.completed\"}\n\n",
		"", "event: response.completed\ndata: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":2}},\"type\":\"response.completed\"}\n\n",
		Usage{Input: 7, Cached: 1, Output: 2},
		1,
	},
	{
		"Ollama",
		Call{Route: Route{Spec: &ollamaChatSpec}},
		true, NDJSON,
		"{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n{\"model\":\"m\",\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":26,\"eval_count\":298}\n",
		"", "{\"model\":\"m\",\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":26,\"eval_count\":298}\n",
		Usage{Input: 26, Cached: 0, Output: 298},
		1,
	},
	{
		"llama.cpp",
		Call{Route: Route{Spec: &llamaCppSpec}},
		true, SSE,
		sse(`{"content":"Hi","stop":false}`, `{"content":"","stop":true,"tokens_predicted":8,"tokens_evaluated":21,"tokens_cached":20}`),
		"", sse(`{"content":"","stop":true,"tokens_predicted":8,"tokens_evaluated":21,"tokens_cached":20}`),
		Usage{Input: 21, Cached: 0, Output: 8},
		1,
	},
	{
		"TGI",
		Call{Route: Route{Spec: &tgiStreamSpec}},
		true, SSE,
		sse(`{"token":{"id":1,"text":"Hi"},"generated_text":null,"details":null}`, `{"token":{"id":2,"text":"."},"generated_text":"Hi.","details":{"finish_reason":"length","generated_tokens":2,"input_length":6}}`),
		"", sse(`{"token":{"id":2,"text":"."},"generated_text":"Hi.","details":null}`),
		Usage{Input: 6, Cached: 0, Output: 2},
		2,
	},
	{
		"SGLang",
		Call{Route: Route{Spec: &sglangSpec}},
		true, SSE,
		sse(`{"text":"Hi","meta_info":{"prompt_tokens":4,"completion_tokens":1,"cached_tokens":2,"finish_reason":null}}`, `{"text":"Hi you","meta_info":{"prompt_tokens":4,"completion_tokens":2,"cached_tokens":2,"finish_reason":{"type":"stop"}}}`) + doneLine,
		"", doneLine,
		Usage{Input: 4, Cached: 2, Output: 2},
		2,
	},
}

func TestStreamsAreReadHoweverTheyAreCut(t *testing.T) {
	for _, test := range streamCases {
		t.Run(test.name, func(t *testing.T) {
			want := test.passed
			if want == "" {
				end := strings.LastIndex(test.stream, test.last)
				if end < 0 { // changed
					end = strings.LastIndex(test.stream, "data:")
				}
				want = test.stream[:end]
			}
			check := func(pieces ...string) {
				t.Helper()
				meter := NewMeter(&test.call, test.strip)
				var out tape
				for _, piece := range pieces {
					buffer := []byte(piece) // of its own, and overwritten afterwards
					if err := meter.Stream(test.format, buffer, &out); err != nil {
						t.Fatal(err)
					}
					clear(buffer)
				}
				if err := meter.Flush(&out); err != nil {
					t.Fatal(err)
				}
				usage, ok := meter.Reported()
				if out.passed.String() != want || out.last.String() != test.last {
					t.Fatalf("cut at %d:\npassed %q\n  want %q\n  last %q\n  want %q", len(pieces[0]), out.passed.String(), want, out.last.String(), test.last)
				}
				if !ok || usage != test.usage || meter.Counted() != test.tokens || !meter.Complete() || meter.Failed() {
					t.Fatalf("cut at %d: usage %+v %v, counted %d, complete %v", len(pieces[0]), usage, ok, meter.Counted(), meter.Complete())
				}
			}
			for at := range len(test.stream) {
				check(test.stream[:at], test.stream[at:])
			}
			check(strings.Split(test.stream, "")...)
		})
	}
}

// FuzzMeter checks that a stream gives the same events and the same usage
// however it is cut, that nothing panics and that nothing is lost.
func FuzzMeter(f *testing.F) {
	for i, test := range streamCases {
		f.Add([]byte(test.stream), uint16(i*7), uint8(i))
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
		if !test.strip && whole.passed.Len()+whole.last.Len() != len(stream) {
			t.Fatalf("%d of %d bytes passed", whole.passed.Len()+whole.last.Len(), len(stream))
		}
	})
}
