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
	before, after []byte // what surrounds the text
	// total says that a running total follows the text. Like the text, it differs from
	// event to event and is not part of the frame: it stands in after at value.
	total bool
	value int16
	// cut is where in after the usage stands that is taken out for callers who did not
	// ask for it, with its comma. A running total is cut up to its end.
	cut, size int16
}

// read returns where the text of an event stands that has this frame, and the usage
// that it carries. The text is empty if the event has another frame or no text.
// returns says that a carriage return may end a line in it.
func (f *frame) read(event []byte, returns bool) (text, usage jsonscan.Span) {
	start := len(f.before)
	if start == 0 || len(event) < start+len(f.after) || !bytes.Equal(event[:start], f.before) {
		return text, usage
	}
	end := jsonscan.SkipString(event, start-1) - 1
	if end <= start || bytes.IndexByte(event[start:end], '\n') >= 0 || returns && bytes.IndexByte(event[start:end], '\r') >= 0 {
		return text, usage
	}
	usage = jsonscan.Span{Start: end + int(f.cut), End: end + int(f.cut) + int(f.size)}
	if !f.total {
		if !bytes.Equal(event[end:], f.after) {
			return text, usage
		}
		return jsonscan.Span{Start: start, End: end}, usage
	}
	value := end + int(f.value)
	if value >= len(event) || event[value] != '{' || !bytes.Equal(event[end:value], f.after[:f.value]) {
		return text, usage
	}
	close, err := jsonscan.SkipContainer(event, value)
	if err != nil || !bytes.Equal(event[close:], f.after[f.value:]) {
		return text, usage
	}
	usage.End = close
	return jsonscan.Span{Start: start, End: end}, usage
}

// learn keeps the frame of an event that reports nothing. cut is the usage without a
// value that is taken out of it; empty: nothing.
func (f *frame) learn(event []byte, text, cut jsonscan.Span) {
	if cut.End > 0 && cut.Start < text.End || !f.fits(event, text) {
		return
	}
	f.keep(event, text, jsonscan.Span{Start: len(event), End: len(event)})
	f.total, f.cut, f.size = false, 0, 0
	if cut.End > 0 {
		f.cut, f.size = int16(cut.Start-text.End), int16(cut.End-cut.Start)
	}
}

// learnTotal keeps the frame of an event with a running total: a value, and the place
// of its member.
func (f *frame) learnTotal(event []byte, text, member, value jsonscan.Span) {
	if member.Start < text.End || !f.fits(event, text) {
		return
	}
	f.keep(event, text, value)
	f.total, f.value = true, int16(value.Start-text.End)
	f.cut, f.size = int16(member.Start-text.End), 0
}

// fits says that there is a text and not too much around it.
func (f *frame) fits(event []byte, text jsonscan.Span) bool {
	return text.End > text.Start && text.End < len(event) && text.Start <= maxFrame && len(event)-text.End <= maxFrame
}

// keep stores what surrounds a text, without the running total.
func (f *frame) keep(event []byte, text, total jsonscan.Span) {
	f.before = append(f.before[:0], event[:text.Start]...)
	f.after = append(append(f.after[:0], event[text.End:total.Start]...), event[total.End:]...)
}

// framed says what happens to an event with the same frame as the one before.
func (m *Meter) framed(event []byte, usage jsonscan.Span) (verdict, []byte) {
	if m.frame.total {
		value := usage
		value.Start += int(m.frame.value - m.frame.cut)
		m.runningTotal(value.Of(event))
	}
	if m.strip && usage.End > usage.Start {
		return verdictReplace, m.replace(event, usage, "")
	}
	return verdictPass, nil
}
