package dialect

import (
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
				checkFrames(t, &Call{Route: Route{Operation: Chat}}, strip, []byte(sse(events...)))
			})
		}
	}
}

func TestOnlyTheLastRunningTotalCounts(t *testing.T) {
	meter := NewMeter(&Call{Route: Route{Operation: Chat}}, true)
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
