package meter

import (
	"bytes"
	"strings"
	"testing"
)

// The shapes of the dialects, as far as the tests here need them.
var (
	chat      = Shape{Events: Chunks, OnRequest: true}
	responses = Shape{Events: Typed, Piece: ".delta", Last: []string{"response.completed"}, Failures: []string{"error"}}
	messages  = Shape{
		Events: Typed, Early: "message_start", Framed: "content_block_delta",
		Last: []string{"message_stop"}, Failures: []string{"error"}, CachedApart: true,
	}
	ollama   = Shape{End: EndDone}
	llamaCpp = Shape{End: EndDone}
	sglang   = Shape{WholeText: true}
	tgi      = Shape{End: EndFinished, OnRequest: true}
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

// playStream gives a stream to a meter in pieces of a size.
func playStream(t *testing.T, shape *Shape, stream string, size int) (*Meter, *tape) {
	t.Helper()
	meter := New(shape, true)
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
