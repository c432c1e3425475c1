package meter

import (
	"bytes"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// maxFrame limits, in bytes, what is kept of an event to compare the next one with.
const maxFrame = 1 << 10

// frame is an event without its text. Most events of a stream differ only in their
// text, so what was found out about one holds for the next.
type frame struct {
	before, after []byte
	cut           bool // a null usage follows the text and is taken out
	// total says that a running total ends the event. Like the text, it differs from
	// event to event and is not part of the frame.
	total bool
}

// read returns the size of the text of an event that has this frame, and the
// place of its running total if it has one. The size is 0 if the event has
// another frame or no text.
func (f *frame) read(data []byte) (text int, total jsonscan.Span) {
	start := len(f.before)
	if start == 0 || len(data) <= start+len(f.after) || !bytes.Equal(data[:start], f.before) {
		return 0, jsonscan.Span{}
	}
	end := jsonscan.SkipString(data, start-1) - 1
	if end < start {
		return 0, jsonscan.Span{}
	}
	if !f.total {
		if !bytes.Equal(data[end:], f.after) {
			return 0, jsonscan.Span{}
		}
		return sizeOf(data[start:end]), jsonscan.Span{}
	}
	if !bytes.HasPrefix(data[end:], f.after) {
		return 0, jsonscan.Span{}
	}
	if total = lastObject(data, end+len(f.after)-len(usageMember)); total.End == 0 {
		return 0, jsonscan.Span{}
	}
	return sizeOf(data[start:end]), total
}

// learn keeps the frame of an event that reports nothing.
func (f *frame) learn(data []byte, text jsonscan.Span, cut bool) {
	if text.End > len(data)-1 || cut && !bytes.Contains(data[text.End:], nullUsage) {
		return // the text is cut off, or the null stands elsewhere
	}
	if f.set(data, text, len(data)) {
		f.cut, f.total = cut, false
	}
}

// learnTotal keeps the frame of an event that ends with a running total.
func (f *frame) learnTotal(data []byte, text, total jsonscan.Span) {
	if text.End <= total.Start && f.set(data, text, total.Start+len(usageMember)) {
		f.cut, f.total = false, true
	}
}

// set keeps what surrounds a text, up to an index, unless there is no text or too
// much around it.
func (f *frame) set(data []byte, text jsonscan.Span, end int) bool {
	if text.End == 0 || text.Start > maxFrame || end-text.End > maxFrame {
		return false
	}
	f.before = append(f.before[:0], data[:text.Start]...)
	f.after = append(f.after[:0], data[text.End:end]...)
	return true
}

// framed says what happens to an event with the same frame as the one before.
func (m *Meter) framed(event, data []byte, total jsonscan.Span) (verdict, []byte) {
	switch {
	case m.frame.total:
		return m.withTotal(event, data, total)
	case m.frame.cut:
		return verdictReplace, m.without(event, bytes.LastIndex(event, nullUsage))
	}
	return verdictPass, nil
}
