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
	// Without their first quote: searching for a byte that JSON is full of is slow.
	usageName    = []byte(`usage"`)
	finishName   = []byte(`finish_reason"`)
	usageMember  = []byte(`,"usage":`)
	nullUsage    = []byte(`,"usage":null`)
	emptyChoices = []byte(`"choices":[]`)
	doneText     = []byte("[DONE]")
	errorName    = []byte(`"error"`)
)

// event reads one whole event.
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
// without usage, costs a few searches; only what may report something is walked.
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

// chunk reads an OpenAI chunk.
func (m *Meter) chunk(event, data []byte) (verdict, []byte) {
	text := m.count(data)
	if finishes(data) {
		m.walker.tally.finished = true
		text = jsonscan.Span{}
	}
	if !bytes.Contains(data, usageName) {
		m.frame.learn(data, text, false)
		return verdictPass, nil
	}
	empty := bytes.Contains(data, emptyChoices)
	if bytes.Contains(data, nullUsage) && !empty {
		m.frame.learn(data, text, m.strip)
	}
	if usage := lastMember(data); usage.End > 0 {
		if empty {
			m.runningTotal(data, usage)
			return m.unlessStripped(verdictDrop)
		}
		m.frame.learnTotal(data, text, usage)
		return m.withTotal(event, data, usage)
	}
	m.walk(data)
	if !m.strip {
		return verdictPass, nil
	}
	if at := bytes.Index(event, nullUsage); at >= 0 {
		return verdictReplace, m.without(event, at)
	}
	if empty {
		return verdictDrop, nil
	}
	return removeUsage(event, data)
}

// SaysError says that a whole reply is an error, whatever its status.
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

// finishes says that a chunk gives a reason why an answer has ended. Some servers
// give an empty one before.
func finishes(data []byte) bool {
	for {
		found := bytes.Index(data, finishName)
		if found < 0 {
			return false
		}
		data = data[found+len(finishName):]
		at := jsonscan.SkipSpace(data, 0)
		if at == len(data) || data[at] != ':' {
			continue
		}
		at = jsonscan.SkipSpace(data, at+1)
		if at+1 < len(data) && data[at] == '"' && data[at+1] != '"' {
			return true
		}
	}
}

// walk reads what data reports.
func (m *Meter) walk(data []byte) {
	m.walker.reset()
	m.walker.feed(data)
	m.total = m.total[:0]
}

// lastMember returns the place of a usage object that is the last member of
// data, with the comma before it. Nearly all servers put it there.
func lastMember(data []byte) jsonscan.Span {
	start := bytes.Index(data, usageName) - len(`,"`)
	if start < 0 || !bytes.HasPrefix(data[start:], usageMember) {
		return jsonscan.Span{}
	}
	return lastObject(data, start)
}

// lastObject is lastMember where it is known that a member usage stands at start.
func lastObject(data []byte, start int) jsonscan.Span {
	value := start + len(usageMember)
	if value >= len(data) || data[value] != '{' {
		return jsonscan.Span{}
	}
	end, err := jsonscan.SkipContainer(data, value)
	if err != nil || end != len(data)-1 || data[end] != '}' {
		return jsonscan.Span{}
	}
	return jsonscan.Span{Start: start, End: end}
}

// runningTotal keeps a usage object to be read when it is asked for: some servers
// send one with every chunk, and only the last counts.
func (m *Meter) runningTotal(data []byte, usage jsonscan.Span) {
	if len(m.total) > 0 || m.walker.tally.seen {
		if !bytes.ContainsAny(usage.Of(data), "123456789") {
			return // zeros take nothing back
		}
	}
	m.total = append(m.total[:0], '{')
	m.total = append(m.total, data[usage.Start+1:usage.End]...)
	m.total = append(m.total, '}')
}

// withTotal reads an event that carries a running total and a piece of the answer.
func (m *Meter) withTotal(event, data []byte, usage jsonscan.Span) (verdict, []byte) {
	m.runningTotal(data, usage)
	if !m.strip {
		return verdictPass, nil
	}
	m.scratch = splice(m.scratch[:0], event, data, usage, "")
	return verdictReplace, m.scratch
}

func (m *Meter) unlessStripped(stripped verdict) (verdict, []byte) {
	if m.strip {
		return stripped, nil
	}
	return verdictPass, nil
}

// without returns event without the null usage at an index.
func (m *Meter) without(event []byte, at int) []byte {
	m.scratch = append(append(m.scratch[:0], event[:at]...), event[at+len(nullUsage):]...)
	return m.scratch
}

// removeUsage takes the usage out of an event's JSON, or drops the event if it
// carries nothing else.
func removeUsage(event, data []byte) (verdict, []byte) {
	scanner := jsonscan.ScanObject(data, 0)
	empty := false
	var cut jsonscan.Span
	for before := scanner.Pos; ; before = scanner.Pos {
		name, value, ok := scanner.Next()
		if !ok {
			break
		}
		switch string(name) {
		case "usage":
			cut = jsonscan.Span{Start: before, End: value.End}
			if data[jsonscan.SkipSpace(data, before)] != ',' { // the first member: its comma comes after it
				if next := jsonscan.SkipSpace(data, value.End); next < len(data) && data[next] == ',' {
					cut.End = next + 1
				}
			}
		case "choices":
			empty = data[value.Start] == '[' && jsonscan.SkipSpace(data, value.Start+1) == value.End-1
		}
	}
	if scanner.Err != nil || cut.End == 0 {
		return verdictPass, nil
	}
	if empty {
		return verdictDrop, nil
	}
	return verdictReplace, splice(nil, event, data, cut, "")
}

// hideDetails puts null in the place of the details that TGI sends on its last
// event: what a caller gets who did not ask for them.
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

// typedEvent reads an event of the Messages or the Responses API, which say
// their type inside.
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

// brings says whether an event of this type brings a new piece of the answer. The
// Responses API repeats the pieces when a part, an item and the whole are done.
func (m *Meter) brings(kind []byte) bool {
	piece := m.shape.Piece
	return len(kind) >= len(piece) && string(kind[len(kind)-len(piece):]) == piece
}

// ends says whether an event of this type ends the stream well, and notices those
// that end it badly.
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

// nativeEvent reads an event of the servers' own APIs, which report running
// figures on most events.
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

// ended says that an event of the servers' own APIs has told the end of its stream.
func (m *Meter) ended() bool {
	switch m.shape.End {
	case EndFinished:
		return m.walker.tally.finished
	case EndDone:
		return m.walker.tally.done
	}
	return false
}
