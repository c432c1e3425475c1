package meter

import (
	"strings"
	"testing"
)

func TestAnErrorThatIsNullIsNone(t *testing.T) {
	for data, failed := range map[string]bool{
		`{"error":null,"choices":[{"index":0,"delta":{"content":"four"}}]}`:  false,
		`{"error": null,"choices":[{"index":0,"delta":{"content":"four"}}]}`: false,
		`{"error":{"message":"out of memory"}}`:                              true,
		`{"error": "out of memory"}`:                                         true,
		`{ "error": {"message":"out of memory"}}`:                            true,
	} {
		if meter, _ := playStream(t, &chat, sse(data), 1<<10); meter.Failed() != failed {
			t.Errorf("failed is %v after %s", meter.Failed(), data)
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
		if meter, _ := playStream(t, &messages, text, 1<<10); meter.Early() != want {
			t.Errorf("early is %v after %q", meter.Early(), text[max(0, len(text)-150):])
		}
	}
}

// What a vendor nests in a later event is no figure that replaces the early one.
func TestAnEarlyFigureStaysEarlyBesideNestedUsage(t *testing.T) {
	stream := "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n" +
		"data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"word\",\"vendor\":{\"usage\":{\"output_tokens\":7}}}}\n\n" +
		"data: {\"type\":\"message_stop\"}\n\n"
	if meter, _ := playStream(t, &messages, stream, 1<<10); !meter.Early() {
		t.Error("the figure of message_start is taken for the total")
	}
}
