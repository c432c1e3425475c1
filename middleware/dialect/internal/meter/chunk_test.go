package meter

import (
	"strings"
	"testing"
)

func TestAFinishIsNoticedHoweverItIsSpaced(t *testing.T) {
	for _, chunk := range []string{
		`{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}`,
		`{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`,
		`{"choices":[{"index":0,"finish_reason":null},{"index":1,"finish_reason"	:	"length"}]}`,
	} {
		if meter, _ := playStream(t, &chat, sse(chunk), 1<<10); !meter.Complete() {
			t.Errorf("no end is seen in %s", chunk)
		}
	}
	for _, chunk := range []string{
		`{"choices":[{"index":0,"delta":{"content":"\"finish_reason\":\"stop\""},"finish_reason": null}]}`,
		`{"choices":[{"index":0,"delta":{"content":"finish_reason"},"finish_reason":null}]}`,
		`{"choices":[{"index":0,"delta":{"vendor":{"finish_reason":"stop"}},"finish_reason":null}]}`,
		`{"choices":[{"index":0,"delta":{},"vendor":[{"finish_reason":"stop"}]}],"finish_reason":"stop"}`,
		`{"vendor":{"choices":[{"finish_reason":"stop"}]},"choices":[{"index":0,"delta":{}}]}`,
	} {
		if meter, _ := playStream(t, &chat, sse(chunk), 1<<10); meter.Complete() {
			t.Errorf("an end is seen in %s", chunk)
		}
	}
}

func TestZerosDoNotReplaceATotal(t *testing.T) {
	for _, total := range []string{sumOf, running, strings.ReplaceAll(sumOf, `":`, `": `)} {
		meter, _ := playStream(t, &chat, sse(delta, total, zeroSum)+doneLine, 1<<10)
		if usage, ok := meter.Reported(); !ok || usage.Input != 9 || usage.Output == 0 {
			t.Errorf("%v %v after %s", usage, ok, total)
		}
	}
}

// Only the top level of a chunk says what it is.
func TestAUsageChunkIsKnownByItsTopLevel(t *testing.T) {
	const usage = `"usage":{"prompt_tokens":9,"completion_tokens":3}`
	for name, test := range map[string]struct{ event, passed string }{
		"empty choices":             {`{"choices":[],` + usage + `}`, ""},
		"no choices":                {`{"id":"c","object":"o",` + usage + `}`, ""},
		"choices after it":          {`{` + usage + `,"choices":[ ],"id":"c"}`, ""},
		"an answer":                 {`{"choices":[{"text":"a"}],` + usage + `}`, `{"choices":[{"text":"a"}]}`},
		"empty choices nested":      {`{"choices":[{"delta":{"x":{"choices":[]}}}],` + usage + `}`, `{"choices":[{"delta":{"x":{"choices":[]}}}]}`},
		"choices that are null":     {`{"choices":null,` + usage + `}`, `{"choices":null}`},
		"text and no choices":       {`{"content":"a",` + usage + `}`, `{"content":"a"}`},
		"an error":                  {`{"id":"c","error":{"message":"m"},` + usage + `}`, `{"id":"c","error":{"message":"m"}}`},
		"an error that is null":     {`{"id":"c","error":null,` + usage + `}`, ""},
		"the only usage is nested":  {`{"choices":[{"delta":{` + usage + `}}]}`, `{"choices":[{"delta":{` + usage + `}}]}`},
		"usage that is no object":   {`{"choices":[],"usage":7}`, `{"choices":[]}`},
		"a text that looks like it": {`{"choices":[{"text":"\"choices\":[],\"usage\":{}"}]}`, `{"choices":[{"text":"\"choices\":[],\"usage\":{}"}]}`},
	} {
		want := test.passed
		if want != "" {
			want = sse(want)
		}
		if _, out := playStream(t, &chat, sse(test.event), 1<<10); out.passed.String() != want {
			t.Errorf("%s: %q passes, want %q", name, out.passed.String(), want)
		}
		meter := New(&chat, false)
		var out tape
		if err := meter.Stream(SSE, []byte(sse(test.event)), &out); err != nil || out.passed.String() != sse(test.event) {
			t.Errorf("%s: %q passes where usage was asked for, %v", name, out.passed.String(), err)
		}
		top := strings.HasSuffix(test.event, usage+"}") || strings.HasPrefix(test.event, "{"+usage)
		if figures, ok := meter.Reported(); ok != top || ok && figures != (Usage{Input: 9, Output: 3}) {
			t.Errorf("%s: usage %+v %v", name, figures, ok)
		}
	}
}
