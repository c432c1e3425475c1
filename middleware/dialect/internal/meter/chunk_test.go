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
