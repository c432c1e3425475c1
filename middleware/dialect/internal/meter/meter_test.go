package meter

import (
	"errors"
	"testing"
)

func TestErrorEventsOfUpstreamsAreNoticed(t *testing.T) {
	for name, stream := range map[string]string{
		"vLLM":      sse(delta, `{"error":{"message":"out of memory","code":500}}`) + doneLine,
		"Anthropic": sse(delta) + "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
	} {
		meter := New(&chat, true)
		var out tape
		if err := meter.Stream(SSE, []byte(stream), &out); err != nil || !meter.Failed() || !meter.Produced() {
			t.Errorf("%s: failed %v, produced %v, %v", name, meter.Failed(), meter.Produced(), err)
		}
	}
}

func TestASinkThatFailsStopsTheStream(t *testing.T) {
	gone := errors.New("gone")
	meter := New(&chat, true)
	if err := meter.Stream(SSE, []byte(sse(delta)), &tape{fail: gone}); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestFiguresOfHeadersAreRead(t *testing.T) {
	for texts, want := range map[[2]string]Usage{
		{"6", "2"}: {Input: 6, Output: 2}, {"6.0", "2e0"}: {Input: 6, Output: 2},
		{"6", ""}: {}, {"-6", "2"}: {}, {"6.5", "2"}: {}, {"six", "2"}: {},
	} {
		meter := New(&tgi, false)
		meter.ReportTexts(texts[0], texts[1])
		if usage, ok := meter.Reported(); usage != want || ok != (want != Usage{}) {
			t.Errorf("%q: %+v %v", texts, usage, ok)
		}
	}
}
