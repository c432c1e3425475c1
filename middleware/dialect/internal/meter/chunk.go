package meter

import (
	"bytes"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

var (
	// Without the first quote: a search that begins with a byte as common as that is slow.
	usageName    = []byte(`usage"`)
	finishName   = []byte(`finish_reason"`)
	usageMember  = []byte(`,"usage":`)
	nullUsage    = []byte(`,"usage":null`)
	emptyChoices = []byte(`"choices":[]`)
)

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

// finishes says that a chunk gives a reason why an answer has ended. Some servers
// send an empty reason until then.
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

// lastMember returns the place of a usage object that is the last member of
// data, with the comma before it. Nearly all servers put it there.
func lastMember(data []byte) jsonscan.Span {
	start := bytes.Index(data, usageName) - len(`,"`)
	if start < 0 || !bytes.HasPrefix(data[start:], usageMember) {
		return jsonscan.Span{}
	}
	return lastObject(data, start)
}

// lastObject is lastMember for a usage member that is known to stand at start.
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

// runningTotal keeps a usage object without reading it: some servers send one with
// every chunk, and only the last counts.
func (m *Meter) runningTotal(data []byte, usage jsonscan.Span) {
	if len(m.total) > 0 || m.walker.tally.seen {
		if !bytes.ContainsAny(usage.Of(data), "123456789") {
			return // a later all-zero usage object does not replace a real one
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
