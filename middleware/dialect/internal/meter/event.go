package meter

import (
	"bytes"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// verdict is what happens to an event.
type verdict uint8

const (
	verdictPass verdict = iota
	verdictDrop
	verdictReplace
	verdictLast
)

var (
	doneText  = []byte("[DONE]")
	errorName = []byte(`"error"`)
)

// event reads one event.
func (m *Meter) event(event []byte) (verdict, []byte) {
	if m.splitter.format == NDJSON {
		return m.data(event, event)
	}
	result, replacement := verdictPass, []byte(nil)
	for line := event; len(line) > 0; {
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			end = len(line) - 1
		}
		if data, ok := dataOf(line[:end+1]); ok {
			if v, text := m.data(event, data); v != verdictPass {
				result, replacement = v, text
			}
		} else if name, ok := bytes.CutPrefix(line[:end+1], []byte("event:")); ok && string(bytes.TrimSpace(name)) == "error" {
			m.failed = true
		}
		line = line[end+1:]
	}
	return result, replacement
}

// dataOf returns the text of a data line.
func dataOf(line []byte) ([]byte, bool) {
	if len(line) < 5 || string(line[:5]) != "data:" {
		return nil, false
	}
	line = line[5:]
	for len(line) > 0 && (line[0] == ' ') {
		line = line[1:]
	}
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line, true
}

// data reads the text of one event. The common event, a piece of an answer
// without usage, costs a few searches; the walker sees only what may report something.
func (m *Meter) data(event, data []byte) (verdict, []byte) {
	if bytes.Equal(data, doneText) {
		m.terminal = true
		return verdictLast, nil
	}
	if text, total := m.frame.read(data); text > 0 {
		m.counted(text)
		return m.framed(event, data, total)
	}
	if startsWithError(data) {
		m.failed = true
	}
	switch m.shape.Events {
	case Chunks:
		return m.chunk(event, data)
	case Typed:
		return m.typedEvent(data)
	}
	return m.nativeEvent(event, data)
}

// SaysError says that a reply is an error, whatever its status.
func SaysError(reply []byte) bool { return startsWithError(reply[jsonscan.SkipSpace(reply, 0):]) }

// startsWithError says that the first member of data is an error. Some servers
// send null with every event.
func startsWithError(data []byte) bool {
	if len(data) == 0 || data[0] != '{' {
		return false
	}
	rest, ok := bytes.CutPrefix(data[jsonscan.SkipSpace(data, 1):], errorName)
	if !ok {
		return false
	}
	rest = rest[jsonscan.SkipSpace(rest, 0):]
	return len(rest) > 0 && rest[0] == ':' && !bytes.HasPrefix(rest[jsonscan.SkipSpace(rest, 1):], []byte("null"))
}

// walk reads what data reports.
func (m *Meter) walk(data []byte) {
	m.walker.reset()
	m.walker.feed(data)
	m.total = m.total[:0]
}

// hideDetails replaces the details in TGI's last event by null, as TGI does for
// callers that did not ask for them.
func hideDetails(event, data []byte) []byte {
	scanner := jsonscan.ScanObject(data, 0)
	for {
		name, value, ok := scanner.Next()
		if !ok {
			return event
		}
		if string(name) == "details" {
			return splice(nil, event, data, value, "null")
		}
	}
}

// splice appends event to out with a part of data, which is a part of event,
// replaced.
func splice(out, event, data []byte, cut jsonscan.Span, text string) []byte {
	start := bytes.Index(event, data)
	out = append(append(out, event[:start+cut.Start]...), text...)
	return append(out, event[start+cut.End:]...)
}

// typedEvent reads an event of the Messages or the Responses API, which name their
// type.
func (m *Meter) typedEvent(data []byte) (verdict, []byte) {
	kind := eventType(data)
	var text jsonscan.Span
	if m.brings(kind) {
		text = m.count(data)
	}
	if bytes.Contains(data, usageName) {
		m.early = string(kind) == m.shape.Early && m.shape.Early != ""
		m.walk(data)
	} else if string(kind) == m.shape.Framed {
		m.frame.learn(data, text, false)
	}
	if m.ends(kind) {
		m.terminal = true
		return verdictLast, nil
	}
	return verdictPass, nil
}

// brings says whether an event of this type brings a new piece of the answer.
func (m *Meter) brings(kind []byte) bool {
	piece := m.shape.Piece
	return len(kind) >= len(piece) && string(kind[len(kind)-len(piece):]) == piece
}

// ends says whether an event of this type completes the stream, and notes a failure.
func (m *Meter) ends(kind []byte) bool {
	for _, last := range m.shape.Last {
		if string(kind) == last {
			return true
		}
	}
	for _, failure := range m.shape.Failures {
		if string(kind) == failure {
			m.failed = true
		}
	}
	return false
}

// eventType returns the type that an event names at its top level. Nearly all
// servers write it first; the others cost a scan.
func eventType(data []byte) []byte {
	if rest, ok := bytes.CutPrefix(data, []byte(`{"type":"`)); ok {
		if end := bytes.IndexByte(rest, '"'); end >= 0 {
			return rest[:end]
		}
	}
	scanner := jsonscan.ScanObject(data, 0)
	for {
		name, value, ok := scanner.Next()
		if !ok {
			return nil
		}
		if string(name) == "type" && value.End-value.Start > 2 {
			return data[value.Start+1 : value.End-1]
		}
	}
}

// nativeEvent reads an event of a server's own API. Most of them carry running totals.
func (m *Meter) nativeEvent(event, data []byte) (verdict, []byte) {
	m.count(data)
	m.walk(data)
	if !m.ended() {
		return verdictPass, nil
	}
	m.terminal = true
	if m.strip {
		return verdictLast, hideDetails(event, data)
	}
	return verdictLast, nil
}

// ended says that the last event of a server's own API has been seen.
func (m *Meter) ended() bool {
	switch m.shape.End {
	case EndFinished:
		return m.walker.tally.finished
	case EndDone:
		return m.walker.tally.done
	}
	return false
}
