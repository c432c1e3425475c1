package meter

import (
	"fmt"
	"strings"
	"testing"
)

func TestAnEventTooLongToKeepPassesAndIsStillRead(t *testing.T) {
	meter := New(&chat, true)
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
	if !ok || usage != (Usage{Input: 9, Cached: 0, Output: 3}) || out.passed.String() != event || out.last.String() != doneLine {
		t.Errorf("usage %+v %v, passed %d of %d bytes, last %q", usage, ok, out.passed.Len(), len(event), out.last.String())
	}
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
				meter, out := playStream(t, &responses, stream, size)
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
		name   string
		shape  *Shape
		format Format
		last   string
	}{
		{"Ollama", &ollama, NDJSON, `{"response":"","context":"` + long + `","done":true,"prompt_eval_count":9,"eval_count":3}` + "\n"},
		{"llama.cpp", &llamaCpp, SSE, `data: {"content":"","prompt":"` + long + `","tokens_predicted":3,"tokens_evaluated":9,"stop":true}` + "\n\n"},
		{"TGI", &tgi, SSE, `data: {"generated_text":"` + long + `","details":{"generated_tokens":3,"input_length":9}}` + "\n\n"},
	} {
		piece := `{"response":"four","content":"four","token":{"text":"four"}}` + "\n"
		if test.format == SSE {
			piece = "data: " + piece + "\n"
		}
		meter := New(test.shape, false)
		var out tape
		stream := piece + test.last
		for from := 0; from < len(stream); from += 1000 {
			if err := meter.Stream(test.format, []byte(stream[from:min(from+1000, len(stream))]), &out); err != nil {
				t.Fatal(err)
			}
		}
		usage, ok := meter.Reported()
		if !meter.Complete() || !ok || usage != (Usage{Input: 9, Output: 3}) || meter.Counted() != 1 {
			t.Errorf("%s: complete %v, usage %v, %d tokens counted", test.name, meter.Complete(), usage, meter.Counted())
		}
		if out.last.Len() == 0 || out.passed.Len()+out.last.Len() != len(stream) {
			t.Errorf("%s: %d bytes passed and %d are held back of %d", test.name, out.passed.Len(), out.last.Len(), len(stream))
		}
	}
}

// However its lines end, and on however many data lines its text stands, a long event
// passes whole and is read.
func TestALongEventOfManyLinesIsRead(t *testing.T) {
	long := strings.Repeat("x", maxEvent)
	event := "id: 7\ndata: {\"type\":\"response.completed\",\ndata\ndata: \"response\":{\"instructions\":\"" + long + "\",\ndate: \"usage\":{\"output_tokens\":1},\n" +
		"data: \"usage\":{\"input_tokens\":\ndata:9,\"output_tokens\":3}}}\n\n"
	for name, end := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		stream := strings.ReplaceAll(event, "\n", end)
		for _, size := range []int{1 << 10, 1021, 32<<10 + 1, len(stream)} {
			t.Run(fmt.Sprint(name, " in ", size), func(t *testing.T) {
				meter, out := playStream(t, &responses, stream, size)
				if usage, ok := meter.Reported(); !ok || usage != (Usage{Input: 9, Output: 3}) {
					t.Errorf("usage %+v %v", usage, ok)
				}
				if whole := out.passed.String() + out.last.String(); whole != stream || strings.TrimLeft(out.last.String(), "}") != end+end || !meter.Complete() {
					t.Errorf("%d bytes came out, %d went in, %q is held back", len(whole), len(stream), out.last.String())
				}
			})
		}
	}
}

func TestAfterALongEventTheNextIsRead(t *testing.T) {
	event := `data: {"choices":[{"delta":{"content":"` + strings.Repeat("x", maxEvent) + `"}}]}` + "\n\n"
	for _, end := range []string{"\n", "\r\n", "\r"} {
		stream := strings.ReplaceAll(event+sse(running, sumOf)+doneLine, "\n", end)
		want := strings.ReplaceAll(event+sse(`{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}`), "\n", end)
		for size := 1000; size < 1040; size++ {
			meter, out := playStream(t, &chat, stream, size)
			usage, ok := meter.Reported()
			if !ok || usage != (Usage{Input: 9, Cached: 4, Output: 3}) || out.passed.String() != want || !meter.Complete() {
				t.Fatalf("%q in pieces of %d: usage %+v %v, complete %v, %d bytes passed of %d", end, size, usage, ok, meter.Complete(), out.passed.Len(), len(want))
			}
		}
	}
}
