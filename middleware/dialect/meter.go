package dialect

import (
	"iter"
	"slices"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
	"github.com/penstockhq/penstock/middleware/dialect/internal/meter"
)

// Meter reads usage out of a passing reply. It is for one reply and one goroutine.
type Meter = meter.Meter

// Usage is what an upstream reported.
type Usage = meter.Usage

// Sink receives what a Meter passes on of a stream.
type Sink = meter.Sink

// Format is how a stream is cut into events.
type Format = meter.Format

// The formats.
const (
	SSE    = meter.SSE
	NDJSON = meter.NDJSON
)

// NewMeter returns the meter of the reply to call. With strip set, usage that the
// caller did not ask for is taken out of the stream.
func NewMeter(call *Call, strip bool) Meter {
	var shape *meter.Shape
	if call.Route.Spec != nil {
		shape = &call.Route.Spec.reply
	}
	return meter.New(shape, strip)
}

// EventTexts yields the texts of an event of a text/event-stream, as a meter reads it:
// usually one JSON text, or the mark of the end.
func EventTexts(event []byte) iter.Seq[[]byte] { return meter.Texts(event) }

// SaysError says that a reply is an error, whatever its status.
func SaysError(reply []byte) bool { return meter.SaysError(reply) }

// Answered says whether a whole reply is JSON that holds an answer of the operation. An
// empty list is one only if emptyCounts is set: the model may have answered with
// nothing, which its usage shows.
func (s *Spec) Answered(reply []byte, emptyCounts bool) bool {
	start := jsonscan.SkipSpace(reply, 0)
	end, err := jsonscan.SkipValue(reply, start)
	if err != nil || jsonscan.SkipSpace(reply, end) != len(reply) {
		return false
	}
	emptyCounts = emptyCounts || s.NoOutput
	if reply[start] != '[' {
		return s.answers(reply, start, emptyCounts)
	}
	if !s.answerList {
		return false
	}
	list := jsonscan.ScanArray(reply, start)
	element, found := list.Next()
	return found && s.answers(reply, element.Start, emptyCounts)
}

// answers says whether the object that starts at start has a member of an answer.
func (s *Spec) answers(reply []byte, start int, emptyCounts bool) bool {
	members := jsonscan.ScanObject(reply, start)
	for {
		name, value, ok := members.Next()
		if !ok {
			return false
		}
		if slices.Contains(s.answer, string(name)) && holdsSomething(value.Of(reply), emptyCounts) {
			return true
		}
	}
}

func holdsSomething(value []byte, emptyCounts bool) bool {
	if jsonscan.IsNull(value) {
		return false
	}
	return emptyCounts || value[0] != '[' || value[jsonscan.SkipSpace(value, 1)] != ']'
}

// MayAnswer says whether a reply that begins so can hold an answer of the operation.
func (s *Spec) MayAnswer(begin []byte) bool {
	at := jsonscan.SkipSpace(begin, 0)
	return at == len(begin) || begin[at] == '{' || begin[at] == '[' && s.answerList
}

// textMembers are the members of replies that hold what a model wrote.
var textMembers = []string{
	"content", "text", "response", "generated_text", "reasoning_content", "reasoning", "thinking", "arguments",
}

// maxTextDepth limits how deep texts are looked for in a reply.
const maxTextDepth = 16

// TextBytes returns the size of what a model wrote in a whole reply, in bytes. It is
// what is left to count where an upstream says that nothing was produced.
func TextBytes(reply []byte) int64 { return textBytes(reply, 0, false, 0) }

// textBytes sums the texts in the value that starts at start. inText says that the
// value belongs to a member that holds text.
func textBytes(reply []byte, start int, inText bool, depth int) (sum int64) {
	if start = jsonscan.SkipSpace(reply, start); start >= len(reply) || depth > maxTextDepth {
		return 0
	}
	switch reply[start] {
	case '"':
		if end := jsonscan.SkipString(reply, start); inText && end > 0 {
			sum = int64(len(jsonscan.Unquote(reply[start:end])))
		}
	case '[':
		list := jsonscan.ScanArray(reply, start)
		for element, ok := list.Next(); ok; element, ok = list.Next() {
			sum += textBytes(reply, element.Start, inText, depth+1)
		}
	case '{':
		members := jsonscan.ScanObject(reply, start)
		for name, value, ok := members.Next(); ok; name, value, ok = members.Next() {
			sum += textBytes(reply, value.Start, slices.Contains(textMembers, string(name)), depth+1)
		}
	}
	return sum
}
