package dialect

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// playStream gives a stream to a meter in pieces of a size.
func playStream(t *testing.T, operation Operation, stream string, size int) (*Meter, *tape) {
	t.Helper()
	meter := NewMeter(&Call{Route: Route{Operation: operation}}, true)
	var out tape
	for from := 0; from < len(stream); from += size {
		if err := meter.Stream(SSE, []byte(stream[from:min(from+size, len(stream))]), &out); err != nil {
			t.Fatal(err)
		}
	}
	if err := meter.Flush(&out); err != nil {
		t.Fatal(err)
	}
	return &meter, &out
}

// The last event of the Responses API repeats the request's instructions and
// tools and the whole answer.
func TestALongLastEventIsTheLastHoweverItIsCut(t *testing.T) {
	for _, long := range []int{20 << 10, maxEvent - 200, maxEvent, maxEvent + 1, 200 << 10} {
		completed := `{"type":"response.completed","response":{"instructions":"` + strings.Repeat("x", long) + `","usage":{"input_tokens":9,"output_tokens":3}}}`
		stream := "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"four\"}\n\n" +
			"event: response.completed\ndata: " + completed + "\n\n"
		for _, size := range []int{1 << 10, 32 << 10, len(stream)} {
			t.Run(fmt.Sprint(long, " in ", size), func(t *testing.T) {
				meter, out := playStream(t, Responses, stream, size)
				if usage, ok := meter.Reported(); !meter.Complete() || !ok || usage != (Usage{Input: 9, Output: 3}) {
					t.Errorf("complete %v, usage %v %v", meter.Complete(), usage, ok)
				}
				if whole := out.passed.String() + out.last.String(); whole != stream {
					t.Errorf("%d bytes came out, %d went in", len(whole), len(stream))
				}
				if held := out.last.String(); held == "" || len(held) > maxEvent/2 {
					t.Errorf("%d bytes are held back; a client may see the end too early, or the gate holds too much", len(held))
				}
			})
		}
	}
}

// The last event of the servers' own APIs repeats the prompt, or brings the
// tokens of the whole conversation.
func TestALongLastEventOfServersOwnAPIs(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for _, test := range []struct {
		operation Operation
		format    Format
		last      string
	}{
		{OllamaGenerate, NDJSON, `{"response":"","context":"` + long + `","done":true,"prompt_eval_count":9,"eval_count":3}` + "\n"},
		{LlamaCompletion, SSE, `data: {"content":"","prompt":"` + long + `","tokens_predicted":3,"tokens_evaluated":9,"stop":true}` + "\n\n"},
		{GenerateStream, SSE, `data: {"generated_text":"` + long + `","details":{"generated_tokens":3,"input_length":9}}` + "\n\n"},
	} {
		piece := `{"response":"four","content":"four","token":{"text":"four"}}` + "\n"
		if test.format == SSE {
			piece = "data: " + piece + "\n"
		}
		meter := NewMeter(&Call{Route: Route{Operation: test.operation}}, false)
		var out tape
		stream := piece + test.last
		for from := 0; from < len(stream); from += 1000 {
			if err := meter.Stream(test.format, []byte(stream[from:min(from+1000, len(stream))]), &out); err != nil {
				t.Fatal(err)
			}
		}
		usage, ok := meter.Reported()
		if !meter.Complete() || !ok || usage != (Usage{Input: 9, Output: 3}) || meter.Counted() != 1 {
			t.Errorf("%s: complete %v, usage %v, %d tokens counted", test.operation, meter.Complete(), usage, meter.Counted())
		}
		if out.last.Len() == 0 || out.passed.Len()+out.last.Len() != len(stream) {
			t.Errorf("%s: %d bytes passed and %d are held back of %d", test.operation, out.passed.Len(), out.last.Len(), len(stream))
		}
	}
}

func TestWhatAResponsesStreamRepeatsIsCountedOnce(t *testing.T) {
	text := strings.Repeat("word", 100)
	var stream strings.Builder
	for range 100 {
		stream.WriteString("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"word\"}\n\n")
	}
	for _, repeated := range []string{
		`{"type":"response.output_text.done","text":"` + text + `"}`,
		`{"type":"response.content_part.done","part":{"type":"output_text","text":"` + text + `"}}`,
		`{"type":"response.output_item.done","item":{"content":[{"type":"output_text","text":"` + text + `"}]}}`,
	} {
		stream.WriteString("data: " + repeated + "\n\n")
	}
	if meter, _ := playStream(t, Responses, stream.String(), 1<<10); meter.Counted() != 100 || !meter.Produced() {
		t.Errorf("%d tokens counted of 100", meter.Counted())
	}
}

// SGLang's own API sends the whole text so far with each event.
func TestTextThatGrowsIsCountedOnce(t *testing.T) {
	var stream strings.Builder
	for i := range 100 {
		fmt.Fprintf(&stream, "data: {\"text\":\"%s\",\"meta_info\":{\"id\":\"a\"}}\n\n", strings.Repeat("word", i+1))
	}
	if meter, _ := playStream(t, Generate, stream.String(), 1<<10); meter.Counted() != 100 {
		t.Errorf("%d tokens counted of 100", meter.Counted())
	}
}

func TestEscapedLettersCountAsLetters(t *testing.T) {
	letters := `\u4f60\u597d\n\"`
	event := `{"choices":[{"index":0,"delta":{"content":"` + letters + `"},"finish_reason":null}]}`
	stream := sse(strings.Split(strings.Repeat(event+"|", 100), "|")[:100]...)
	// Two letters of three bytes and two of one, a hundred times.
	if meter, _ := playStream(t, Chat, stream, 1<<10); meter.Counted() != 800/4 {
		t.Errorf("%d tokens counted of 200", meter.Counted())
	}
}

func TestAFinishIsNoticedHoweverItIsSpaced(t *testing.T) {
	for _, chunk := range []string{
		`{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}`,
		`{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`,
		`{"choices":[{"index":0,"finish_reason":null},{"index":1,"finish_reason"	:	"length"}]}`,
	} {
		if meter, _ := playStream(t, Chat, sse(chunk), 1<<10); !meter.Complete() {
			t.Errorf("no end is seen in %s", chunk)
		}
	}
	for _, chunk := range []string{
		`{"choices":[{"index":0,"delta":{"content":"\"finish_reason\":\"stop\""},"finish_reason": null}]}`,
		`{"choices":[{"index":0,"delta":{"content":"finish_reason"},"finish_reason":null}]}`,
	} {
		if meter, _ := playStream(t, Chat, sse(chunk), 1<<10); meter.Complete() {
			t.Errorf("an end is seen in %s", chunk)
		}
	}
}

func TestAnErrorThatIsNullIsNone(t *testing.T) {
	for data, failed := range map[string]bool{
		`{"error":null,"choices":[{"index":0,"delta":{"content":"four"}}]}`:  false,
		`{"error": null,"choices":[{"index":0,"delta":{"content":"four"}}]}`: false,
		`{"error":{"message":"out of memory"}}`:                              true,
		`{"error": "out of memory"}`:                                         true,
		`{ "error": {"message":"out of memory"}}`:                            true,
	} {
		if meter, _ := playStream(t, Chat, sse(data), 1<<10); meter.Failed() != failed {
			t.Errorf("failed is %v after %s", meter.Failed(), data)
		}
	}
}

// OpenAI's prompt_tokens hold the cached ones, Anthropic's input_tokens do not.
// Gateways in front of Anthropic's models send both vendors' names.
func TestCachedTokensAreAddedOnlyWhereTheyAreMissing(t *testing.T) {
	body := `{"usage":{"prompt_tokens":100,"completion_tokens":3,"cache_creation_input_tokens":5,"cache_read_input_tokens":80}}`
	meter := NewMeter(&Call{Route: Route{Operation: Chat}}, false)
	meter.Body([]byte(body))
	if usage, ok := meter.Reported(); !ok || usage != (Usage{Input: 100, Cached: 80, Output: 3}) {
		t.Errorf("%v %v", usage, ok)
	}
}

func TestTextDoesNotPassForAnImage(t *testing.T) {
	text := strings.Repeat("word ", 10_000)
	for _, message := range []string{
		`{"type":"image","role":"user","content":"` + text + `"}`,
		`{"role":"user","content":"` + text + `","type":"image_url"}`,
		`{"role":"user","content":[{"type":"text","text":"` + text + `"}],"type":"input_audio"}`,
		`{"role":"user","content":[{"type":"image","text":"` + text + `"}]}`,
	} {
		for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/responses"} {
			member := "messages"
			if path == "/v1/responses" {
				member = "input"
			}
			call, err := ReadRequest(route(t, path), []byte(`{"model":"m","`+member+`":[`+message+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			if call.TextBytes < int64(len(text)) {
				t.Errorf("%s: %d bytes of %d count as text in %.60s", path, call.TextBytes, len(text), message)
			}
		}
	}
}

// A body is read in time that grows with its size, however it is nested: without
// a bound it takes a hundred times as long.
func TestNestingCostsNoTime(t *testing.T) {
	read := func(depth int) time.Duration {
		body := `{"model":"m","messages":` + strings.Repeat("[", depth) + `"image"` + strings.Repeat(`,{}`, 200_000) + strings.Repeat("]", depth) + `}`
		best := time.Hour
		for range 3 {
			begin := time.Now()
			if _, err := ReadRequest(route(t, "/v1/chat/completions"), []byte(body)); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begin))
		}
		return best
	}
	if flat, deep := read(1), read(jsonscan.MaxDepth-8); deep > 20*flat {
		t.Errorf("%s for a nested body, %s for a flat one", deep, flat)
	}
}

func TestZerosAfterTheTotalTakeNothingBack(t *testing.T) {
	for _, total := range []string{sumOf, running, strings.ReplaceAll(sumOf, `":`, `": `)} {
		meter, _ := playStream(t, Chat, sse(delta, total, zeroSum)+doneLine, 1<<10)
		if usage, ok := meter.Reported(); !ok || usage.Input != 9 || usage.Output == 0 {
			t.Errorf("%v %v after %s", usage, ok, total)
		}
	}
}

// What message_start says of the output is an early figure.
func TestAnEarlyFigureIsNoTotal(t *testing.T) {
	var stream strings.Builder
	stream.WriteString("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n")
	for range 50 {
		stream.WriteString("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"word\"}}\n\n")
	}
	early := stream.String()
	end := "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	last := "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":50}}\n\n"
	for text, want := range map[string]bool{early + end: true, early + last + end: false, early: true, early + last: false} {
		if meter, _ := playStream(t, Messages, text, 1<<10); meter.Early() != want {
			t.Errorf("early is %v after %q", meter.Early(), text[max(0, len(text)-150):])
		}
	}
}
