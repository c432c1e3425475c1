package meter

import (
	"bytes"
	"iter"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

var (
	dataField  = []byte("data:")
	eventField = []byte("event:")
	// byteOrderMark may stand before the first event.
	byteOrderMark = []byte("\xef\xbb\xbf")
)

// lines reads an event of a text/event-stream. Nearly all have one data line.
func (m *Meter) lines(event []byte) (verdict, []byte) {
	var first jsonscan.Span
	count := 0
	for rest := event; len(rest) > 0; {
		start := len(event) - len(rest)
		var line []byte
		line, rest = nextLine(rest)
		if data, ok := dataOf(line); ok {
			if count++; count == 1 {
				first.End = start + len(line)
				first.Start = first.End - len(data)
			}
		} else if name, ok := bytes.CutPrefix(line, eventField); ok && string(bytes.TrimSpace(name)) == "error" {
			m.failed = true
		}
	}
	switch {
	case count == 0:
		return verdictPass, nil
	case count == 1:
		return m.data(event, first)
	case isWhole(first.Of(event)):
		return m.eachLine(event)
	}
	return m.joinedLines(event)
}

// dataOf returns the text of a data line without its end.
func dataOf(line []byte) ([]byte, bool) {
	line = bytes.TrimPrefix(line, byteOrderMark)
	if !bytes.HasPrefix(line, dataField) {
		return nil, string(line) == "data"
	}
	line = line[len(dataField):]
	for len(line) > 0 && line[0] == ' ' {
		line = line[1:]
	}
	return line, true
}

// Texts yields the texts of an event of a text/event-stream: JSON, or the mark of the
// end. That is the text of its data lines together, or one of each line from a server
// that leaves out the empty lines between events.
func Texts(event []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var text []byte
		for begun := false; len(event) > 0; {
			var line []byte
			line, event = nextLine(event)
			data, ok := dataOf(line)
			switch {
			case !ok:
				continue
			case !begun:
				text = data
			case isWhole(text):
				if !yield(text) {
					return
				}
				text = data
			default:
				text = append(append(bytes.Clone(text), '\n'), data...)
			}
			begun = true
		}
		if len(text) > 0 {
			yield(text)
		}
	}
}

// isWhole says that data is a whole JSON text or the mark of the end. What follows on
// another line of the event is then a text of its own, sent by a server that leaves
// out the empty lines between events.
func isWhole(data []byte) bool {
	if bytes.Equal(data, doneText) {
		return true
	}
	start := jsonscan.SkipSpace(data, 0)
	end, err := jsonscan.SkipValue(data, start)
	return err == nil && jsonscan.SkipSpace(data, end) == len(data)
}

// eachLine reads an event with a JSON text on each data line.
func (m *Meter) eachLine(event []byte) (verdict, []byte) {
	var out []byte
	result, left := verdictPass, false // left: a data line is left
	for rest := event; len(rest) > 0; {
		line, after := nextLine(rest)
		whole := rest[:len(rest)-len(after)] // with its end
		rest = after
		data, ok := dataOf(line)
		if !ok {
			out = append(out, whole...)
			continue
		}
		verdict, replacement := m.data(whole, jsonscan.Span{Start: len(line) - len(data), End: len(line)})
		switch {
		case verdict == verdictDrop:
			result = max(result, verdictReplace)
			continue
		case replacement != nil:
			whole = replacement
		}
		out, left, result = append(out, whole...), true, max(result, verdict)
	}
	if !left {
		return verdictDrop, nil
	}
	return result, out
}

// joinedLines reads an event whose JSON text stands on several data lines. The breaks
// between them are white space, or the text is no JSON.
func (m *Meter) joinedLines(event []byte) (verdict, []byte) {
	joined := make([]byte, 0, len(event))
	text := make([]byte, 0, len(event))
	for rest := event; len(rest) > 0; {
		var line []byte
		line, rest = nextLine(rest)
		if data, ok := dataOf(line); ok {
			text = append(append(text, data...), ' ')
		} else if len(line) > 0 {
			joined = append(joined, line...)
			joined = append(joined, '\n')
		}
	}
	joined = append(joined, "data: "...)
	at := jsonscan.Span{Start: len(joined), End: len(joined) + len(text) - 1}
	joined = append(append(joined, text[:len(text)-1]...), event[len(bytes.TrimRight(event, "\r\n")):]...)
	return m.data(joined, at)
}
