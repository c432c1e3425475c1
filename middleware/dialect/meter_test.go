package dialect

import (
	"bytes"
	"errors"
	"fmt"
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
	{"OpenAI", Call{Route: Route{Operation: Chat}}, false, SSE, sse(delta, delta, finish, sumOf) + doneLine, "", doneLine, Usage{9, 4, 3}, 2},
	{
		"OpenAI, the last text with everything else",
		Call{Route: Route{Operation: Chat}},
		false, SSE,
		sse(delta, `{"id":"c","choices":[{"index":0,"delta":{"content":"four"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`) + doneLine, "", doneLine,
		Usage{9, 0, 3},
		2,
	},
	{"OpenAI, usage taken out", Call{Route: Route{Operation: Chat}}, true, SSE, sse(delta, finish, sumOf) + doneLine, sse(delta, finish), doneLine, Usage{9, 4, 3}, 1},
	{
		"OpenAI, CRLF and comments",
		Call{Route: Route{Operation: Chat}},
		true, SSE,
		": ping\r\n\r\ndata:" + delta + "\r\n\r\nid: 7\r\ndata: " + sumOf + "\r\n\r\ndata: [DONE]\r\n\r\n", ": ping\r\n\r\ndata:" + delta + "\r\n\r\n", "data: [DONE]\r\n\r\n",
		Usage{9, 4, 3},
		1,
	},
	{
		"vLLM, null usage on every chunk",
		Call{Route: Route{Operation: Chat}},
		true, SSE,
		sse(strings.Replace(delta, "]}", `],"usage":null}`, 1), sumOf) + doneLine, sse(delta), doneLine,
		Usage{9, 4, 3},
		1,
	},
	{
		"vLLM, running totals",
		Call{Route: Route{Operation: Chat}},
		true, SSE, sse(running, sumOf) + doneLine,
		sse(`{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}`), doneLine,
		Usage{9, 4, 3},
		1,
	},
	{
		"Ollama, zeros before the figures",
		Call{Route: Route{Operation: Completions}},
		true, SSE, sse(zeroSum, `{"choices":[{"text":"a"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}`, sumOf) + doneLine,
		sse(`{"choices":[{"text":"a"}]}`), doneLine,
		Usage{9, 4, 3},
		1,
	},
	{
		"Anthropic",
		Call{Route: Route{Kind: Anthropic, Operation: Messages}},
		true, SSE,
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n" +
			"event: ping\ndata: {\"type\": \"ping\"}\n\n" +
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n" +
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":0,\"output_tokens\":12}}\n\n" +
			"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		Usage{11, 4, 12},
		1,
	},
	{
		"Responses",
		Call{Route: Route{Operation: Responses}},
		true, SSE,
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n" +
			"event: response.completed\ndata: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":2}},\"type\":\"response.completed\"}\n\n",
		"", "event: response.completed\ndata: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":2}},\"type\":\"response.completed\"}\n\n",
		Usage{7, 1, 2},
		1,
	},
	{
		"Ollama",
		Call{Route: Route{Kind: Ollama, Operation: OllamaChat}},
		true, NDJSON,
		"{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n{\"model\":\"m\",\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":26,\"eval_count\":298}\n",
		"", "{\"model\":\"m\",\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":26,\"eval_count\":298}\n",
		Usage{26, 0, 298},
		1,
	},
	{
		"llama.cpp",
		Call{Route: Route{Kind: LlamaCpp, Operation: LlamaCompletion}},
		true, SSE,
		sse(`{"content":"Hi","stop":false}`, `{"content":"","stop":true,"tokens_predicted":8,"tokens_evaluated":21,"tokens_cached":20}`),
		"", sse(`{"content":"","stop":true,"tokens_predicted":8,"tokens_evaluated":21,"tokens_cached":20}`),
		Usage{21, 0, 8},
		1,
	},
	{
		"TGI",
		Call{Route: Route{Kind: TGI, Operation: GenerateStream}},
		true, SSE,
		sse(`{"token":{"id":1,"text":"Hi"},"generated_text":null,"details":null}`, `{"token":{"id":2,"text":"."},"generated_text":"Hi.","details":{"finish_reason":"length","generated_tokens":2,"input_length":6}}`),
		"", sse(`{"token":{"id":2,"text":"."},"generated_text":"Hi.","details":null}`),
		Usage{6, 0, 2},
		2,
	},
	{
		"SGLang",
		Call{Route: Route{Kind: SGLang, Operation: Generate}},
		true, SSE,
		sse(`{"text":"Hi","meta_info":{"prompt_tokens":4,"completion_tokens":1,"cached_tokens":2,"finish_reason":null}}`, `{"text":"Hi you","meta_info":{"prompt_tokens":4,"completion_tokens":2,"cached_tokens":2,"finish_reason":{"type":"stop"}}}`) + doneLine,
		"", doneLine,
		Usage{4, 2, 2},
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

// bodyCases are recorded shapes of each server's reply without a stream.
var bodyCases = []struct {
	name, body string
	usage      Usage
	ok         bool
}{
	{"OpenAI", `{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}"}}],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":8}}}`, Usage{9, 8, 3}, true},
	{"embeddings", `{"data":[{"embedding":[0.1,-2e-3]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`, Usage{8, 0, 0}, true},
	{"Responses", `{"output":[],"usage":{"input_tokens":7,"output_tokens":2,"input_tokens_details":{"cached_tokens":1}}}`, Usage{7, 1, 2}, true},
	{"Anthropic", `{"content":[],"usage":{"input_tokens":5,"cache_creation_input_tokens":1,"cache_read_input_tokens":2,"output_tokens":6}}`, Usage{8, 2, 6}, true},
	{"llama.cpp batch", `[{"tokens_evaluated":3,"tokens_predicted":4},{"tokens_evaluated":5,"tokens_predicted":6}]`, Usage{8, 0, 10}, true},
	{"SGLang batch", `[{"text":"a","meta_info":{"prompt_tokens":3,"completion_tokens":4}},{"meta_info":{"prompt_tokens":5,"completion_tokens":6}}]`, Usage{8, 0, 10}, true},
	{"Ollama embed", `{"embeddings":[[1,2]],"prompt_eval_count":8}`, Usage{8, 0, 0}, true},
	{"TGI", `{"generated_text":"x","details":{"generated_tokens":2,"prefill":[],"input_length":6}}`, Usage{6, 0, 2}, true},
	{"Aquin", `{"text":"x","tokens_in":5,"tokens_out":6}`, Usage{5, 0, 6}, true},
	{"none", `{"choices":[]}`, Usage{}, false},
	{"null", `{"usage":null}`, Usage{}, false},
	{"elsewhere", `{"choices":[{"usage":{"prompt_tokens":1}}],"x":{"usage":{"prompt_tokens":1}}}`, Usage{}, false},
	{"huge", `{"usage":{"prompt_tokens":4611686018427387904,"completion_tokens":1}}`, Usage{}, false},
	{"overflowing", `{"usage":{"prompt_tokens":99999999999999999999999999,"completion_tokens":1}}`, Usage{}, false},
	{"negative", `{"usage":{"prompt_tokens":-5,"completion_tokens":1}}`, Usage{}, false},
	{"text", `{"usage":{"prompt_tokens":"5","completion_tokens":1}}`, Usage{}, false},
	{"object", `{"usage":{"prompt_tokens":{},"completion_tokens":1}}`, Usage{}, false},
	{"fraction", `{"usage":{"prompt_tokens":5.5,"completion_tokens":1}}`, Usage{}, false},
	{"exponent", `{"usage":{"prompt_tokens":1e300,"completion_tokens":1}}`, Usage{}, false},
	{"not JSON", `<html>"usage":{"prompt_tokens":5}}}}]]]</html>`, Usage{}, false},
}

func TestBodiesAreReadHoweverTheyAreCut(t *testing.T) {
	for _, test := range bodyCases {
		t.Run(test.name, func(t *testing.T) {
			for at := range len(test.body) + 1 {
				call := Call{Route: Route{Operation: Chat}}
				if test.name == "Anthropic" {
					call.Route.Operation = Messages
				}
				meter := NewMeter(&call, false)
				meter.Body([]byte(test.body[:at]))
				meter.Body([]byte(test.body[at:]))
				if usage, ok := meter.Reported(); usage != test.usage || ok != test.ok {
					t.Fatalf("cut at %d: %+v, %v", at, usage, ok)
				}
			}
		})
	}
}

func TestAnEventTooLongToKeepPassesAndIsStillRead(t *testing.T) {
	meter := NewMeter(&Call{Route: Route{Operation: Chat}}, true)
	var out tape
	event := `data: {"choices":[{"delta":{"content":"` + strings.Repeat(`\"}],`, 100<<10) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}` + "\n\n"
	stream := event + doneLine
	for at := 0; at < len(stream); at += 1000 {
		if err := meter.Stream(SSE, []byte(stream[at:min(at+1000, len(stream))]), &out); err != nil {
			t.Fatal(err)
		}
		if len(meter.splitter.tail) > maxEvent+1000 {
			t.Fatalf("%d bytes are kept", len(meter.splitter.tail))
		}
	}
	usage, ok := meter.Reported()
	if !ok || usage != (Usage{9, 0, 3}) || out.passed.String() != event || out.last.String() != doneLine {
		t.Errorf("usage %+v %v, passed %d of %d bytes, last %q", usage, ok, out.passed.Len(), len(event), out.last.String())
	}
}

func TestErrorEventsOfUpstreamsAreNoticed(t *testing.T) {
	for name, stream := range map[string]string{
		"vLLM":      sse(delta, `{"error":{"message":"out of memory","code":500}}`) + doneLine,
		"Anthropic": sse(delta) + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
	} {
		meter := NewMeter(&Call{Route: Route{Operation: Chat}}, true)
		var out tape
		if err := meter.Stream(SSE, []byte(stream), &out); err != nil || !meter.Failed() || !meter.Produced() {
			t.Errorf("%s: failed %v, produced %v, %v", name, meter.Failed(), meter.Produced(), err)
		}
	}
}

func TestASinkThatFailsStopsTheStream(t *testing.T) {
	gone := errors.New("gone")
	meter := NewMeter(&Call{Route: Route{Operation: Chat}}, true)
	if err := meter.Stream(SSE, []byte(sse(delta)), &tape{fail: gone}); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestRefusalsHaveTheShapeOfTheirDialect(t *testing.T) {
	limited := Refusal{Reason: Limited, Message: "Rate limit exceeded: 2 requests per minute", RetryAfter: 41200e6}
	daily := Refusal{Reason: LimitedForDay, Message: "x", RetryAfter: 3600e9}
	minute := Refusal{Reason: Limited, Message: "x", RetryAfter: 60_001e6}
	longer := Refusal{Reason: Limited, Message: "x", RetryAfter: 60_002e6}
	for _, test := range []struct {
		refusal Refusal
		kind    Kind
		status  int
		body    string
		retry   string
	}{
		{limited, Aquin, 429, `{"error":"Rate limit exceeded","retry_after_ms":41200}`, "42 41200 "},
		{limited, Aixplain, 497, `{"statusCode":497,"message":"Rate limit exceeded","error":"Rate limit exceeded","retry_after_ms":41200}`, "  "},
		{daily, Aixplain, 429, `{"statusCode":429,"message":"Rate limit exceeded","error":"Rate limit exceeded","retry_after_ms":3600000}`, "  "},
		{limited, OpenAI, 429, `{"type":"error","error":{"type":"rate_limit_error","code":"rate_limit_exceeded","message":"Rate limit exceeded: 2 requests per minute","param":null,"retry_after_ms":41200},"retry_after_ms":41200,"request_id":"r"}`, "42 41200 "},
		{daily, OpenAI, 429, `{"type":"error","error":{"type":"rate_limit_error","code":"rate_limit_exceeded","message":"x","param":null,"retry_after_ms":3600000},"retry_after_ms":3600000,"request_id":"r"}`, "3600 3600000 false"},
		{minute, Aquin, 429, `{"error":"Rate limit exceeded","retry_after_ms":60001}`, "61 60001 "},
		{longer, Aquin, 429, `{"error":"Rate limit exceeded","retry_after_ms":60002}`, "61 60002 false"},
		{Refusal{Reason: Overloaded, Message: "x"}, Anthropic, 529, `{"type":"error","error":{"type":"overloaded_error","code":"overloaded","message":"x","param":null},"request_id":"r"}`, "  "},
		{Refusal{Reason: Overloaded, Message: "x"}, OpenAI, 503, `{"type":"error","error":{"type":"overloaded_error","code":"overloaded","message":"x","param":null},"request_id":"r"}`, "  "},
		{Refusal{Reason: NoCredit, Message: "x", Final: true}, Aquin, 402, `{"error":"x"}`, "  false"},
	} {
		header := map[string][]string{}
		test.refusal.SetHeaders(header, test.kind)
		get := func(name string) string { return strings.Join(header[name], "") }
		retry := fmt.Sprintf("%s %s %s", get("Retry-After"), get("Retry-After-Ms"), get("X-Should-Retry"))
		body := strings.TrimSuffix(string(test.refusal.Body(test.kind, "r")), "\n")
		if status := test.refusal.StatusFor(test.kind); status != test.status || body != test.body || retry != test.retry {
			t.Errorf("%s:\n got %d %s %q\nwant %d %s %q", test.kind, status, body, retry, test.status, test.body, test.retry)
		}
	}
}
