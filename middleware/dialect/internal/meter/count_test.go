package meter

import (
	"fmt"
	"strings"
	"testing"
)

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
	if meter, _ := playStream(t, &responses, stream.String(), 1<<10); meter.Counted() != 100 || !meter.Produced() {
		t.Errorf("%d tokens counted of 100", meter.Counted())
	}
}

// SGLang's own API sends the whole text so far with each event.
func TestTextThatGrowsIsCountedOnce(t *testing.T) {
	var stream strings.Builder
	for i := range 100 {
		fmt.Fprintf(&stream, "data: {\"text\":\"%s\",\"meta_info\":{\"id\":\"a\"}}\n\n", strings.Repeat("word", i+1))
	}
	if meter, _ := playStream(t, &sglang, stream.String(), 1<<10); meter.Counted() != 100 {
		t.Errorf("%d tokens counted of 100", meter.Counted())
	}
}

func TestEscapedLettersCountAsLetters(t *testing.T) {
	letters := `\u4f60\u597d\n\"`
	event := `{"choices":[{"index":0,"delta":{"content":"` + letters + `"},"finish_reason":null}]}`
	stream := sse(strings.Split(strings.Repeat(event+"|", 100), "|")[:100]...)
	// Two letters of three bytes and two of one, a hundred times.
	if meter, _ := playStream(t, &chat, stream, 1<<10); meter.Counted() != 800/4 {
		t.Errorf("%d tokens counted of 200", meter.Counted())
	}
}
