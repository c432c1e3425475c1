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

// event reads one event and says what happens to it. The replacement is nil where the
// event itself is passed on.
func (m *Meter) event(event []byte) (verdict, []byte) {
	if text, cut := m.frame.read(event, m.splitter.returns); text.End > text.Start {
		m.counted(sizeOf(text.Of(event)))
		return m.framed(event, cut)
	}
	if m.splitter.format == NDJSON {
		return m.data(event, jsonscan.Span{End: len(event)})
	}
	return m.lines(event)
}

// data reads the text of an event, which stands at a place in it. The common event, a
// piece of an answer without usage, costs a few searches; the walker sees only what may
// report something.
func (m *Meter) data(event []byte, at jsonscan.Span) (verdict, []byte) {
	data := at.Of(event)
	if bytes.Equal(data, doneText) {
		m.terminal = true
		return verdictLast, nil
	}
	if startsWithError(data) {
		m.failed = true
	}
	switch m.shape.Events {
	case Chunks:
		return m.chunk(event, at)
	case Typed:
		return m.typedEvent(event, at)
	}
	return m.nativeEvent(event, at)
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

// walk reads what data reports, and says whether it reports any figure.
func (m *Meter) walk(data []byte) bool {
	m.walker.reset()
	m.walker.feed(data)
	m.total = m.total[:0]
	return m.walker.reported
}

// replace returns event with a part of it replaced.
func (m *Meter) replace(event []byte, cut jsonscan.Span, text string) []byte {
	m.scratch = append(append(m.scratch[:0], event[:cut.Start]...), text...)
	m.scratch = append(m.scratch, event[cut.End:]...)
	return m.scratch
}

// hideDetails replaces the details in TGI's last event by null, as TGI does for
// callers that did not ask for them.
func (m *Meter) hideDetails(event []byte, at jsonscan.Span) []byte {
	scanner := jsonscan.ScanObject(event[:at.End], at.Start)
	for {
		name, value, ok := scanner.Next()
		if !ok {
			return nil
		}
		if string(name) == "details" {
			return m.replace(event, value, "null")
		}
	}
}

// typedEvent reads an event of the Messages or the Responses API, which name their
// type.
func (m *Meter) typedEvent(event []byte, at jsonscan.Span) (verdict, []byte) {
	data := at.Of(event)
	kind := eventType(data)
	var text jsonscan.Span
	switch {
	case !m.brings(kind):
	case m.shape.Speech:
		heard := textAfter(event, at, []byte(`"audio":`))
		m.content += int64(heard.End - heard.Start)
		m.produced = true
	default:
		text = m.count(event, at)
		m.produced = m.produced || m.shape.Piece != "" // also where the piece is no text
	}
	if bytes.Contains(data, usageName) {
		if m.walk(data) {
			m.early = string(kind) == m.shape.Early && m.shape.Early != ""
		}
	} else if string(kind) == m.shape.Framed {
		m.frame.learn(event, text, jsonscan.Span{})
	}
	if m.ends(kind) {
		m.terminal = true
		return verdictLast, nil
	}
	return verdictPass, nil
}

// brings says whether an event of this type brings a new piece of the answer. One
// without a type is a chunk of a server that has chunks on this path.
func (m *Meter) brings(kind []byte) bool {
	piece := m.shape.Piece
	return len(kind) == 0 || len(kind) >= len(piece) && string(kind[len(kind)-len(piece):]) == piece
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
func (m *Meter) nativeEvent(event []byte, at jsonscan.Span) (verdict, []byte) {
	m.count(event, at)
	m.walk(at.Of(event))
	if !m.ended() {
		return verdictPass, nil
	}
	m.terminal = true
	if m.strip {
		return verdictLast, m.hideDetails(event, at)
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
