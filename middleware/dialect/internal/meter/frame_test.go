package meter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// totalOf makes a chunk with a piece of the answer and a running total.
func totalOf(text, usage string) string {
	return `{"id":"c","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}],"usage":` + usage + `}`
}

const (
	total1 = `{"prompt_tokens":9,"total_tokens":10,"completion_tokens":1}`
	total2 = `{"prompt_tokens":9,"total_tokens":111,"completion_tokens":102}`
)

// totalCases are streams whose events have nearly one frame.
var totalCases = [][]string{
	{totalOf("a", total1), totalOf("water", total2)},
	{totalOf("a", total1), totalOf(`\"}],\"usage\":{}`, total2), totalOf("b", total1)},
	{totalOf("a", total1), totalOf("the usage", total2), totalOf("b", total1)},
	{totalOf("a", total1), totalOf("", total2)},
	{totalOf("a", total1), totalOf("b", "null"), totalOf("c", "null"), totalOf("d", total2)},
	{totalOf("a", total1), totalOf("b", `{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}`)},
	{totalOf("a", total1), totalOf("b", `{"prompt_tokens":9,"completion_tokens":-3}`)},
	{totalOf("a", total1), totalOf("b", `{"prompt_tokens":9,"completion_tokens":3,"usage":null}`)},
	{totalOf("a", total1), totalOf("b", total2+`,"more":{"usage":{}}`), totalOf("c", total1)},
	{totalOf("a", total1), strings.Replace(totalOf("b", total2), "null", `"stop"`, 1), sumOf},
	{totalOf("a", total1), strings.Replace(totalOf("b", total2), `[{`, `[],"old":[{`, 1), zeroSum},
	{`{"choices":[{}],"usage":{"content":"x","completion_tokens":1}}`, totalOf("a", total1)},
	{delta, totalOf("a", total1), delta, totalOf("b", total2), delta},
}

func TestRunningTotalsAreReadTheSameByTheFrame(t *testing.T) {
	for i, events := range totalCases {
		for _, strip := range []bool{false, true} {
			t.Run(fmt.Sprint(i, strip), func(t *testing.T) {
				checkFrames(t, &chat, strip, []byte(sse(events...)))
			})
		}
	}
}

func TestOnlyTheLastRunningTotalCounts(t *testing.T) {
	meter := New(&chat, true)
	var out tape
	var want strings.Builder
	for i := range 100 {
		event := totalOf(fmt.Sprint("word", i), fmt.Sprintf(`{"prompt_tokens":9,"completion_tokens":%d}`, i+1))
		if i > 0 && !meter.frame.total {
			t.Fatalf("event %d is not read by its frame", i)
		}
		if err := meter.Stream(SSE, []byte(sse(event)), &out); err != nil {
			t.Fatal(err)
		}
		want.WriteString(sse(strings.Replace(delta, "four", fmt.Sprint("word", i), 1)))
	}
	usage, ok := meter.Reported()
	if !ok || usage != (Usage{Input: 9, Output: 100}) || meter.Counted() != 148 || out.passed.String() != want.String() {
		t.Errorf("usage %+v %v, counted %d, passed %q", usage, ok, meter.Counted(), out.passed.String())
	}
}

// FuzzFrame holds events that are read by the frame of the one before against the
// same events read each by itself.
func FuzzFrame(f *testing.F) {
	for i, totals := range totalCases {
		f.Add([]byte(sse(totals...)), uint8(i))
	}
	f.Add([]byte(sse(delta, delta, finish, sumOf)+doneLine), uint8(0))
	shapes := []*Shape{&chat, &messages, &responses, &ollama, &sglang, &tgi}
	f.Fuzz(func(t *testing.T, stream []byte, which uint8) {
		shape := shapes[int(which/2)%len(shapes)]
		checkFrames(t, shape, which%2 == 0, stream)
	})
}

// checkFrames reads a stream of JSON events with and without frames.
func checkFrames(t *testing.T, shape *Shape, strip bool, stream []byte) {
	t.Helper()
	meters := [2]Meter{New(shape, strip), New(shape, strip)}
	var tapes [2]tape
	for event := range bytes.SplitAfterSeq(stream, []byte("\n\n")) {
		data, isData := dataOf(bytes.TrimRight(event, "\n"))
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
