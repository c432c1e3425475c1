package meter

import (
	"bytes"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

var (
	// Without the first quote: a search that begins with a byte as common as that is slow.
	usageName  = []byte(`usage"`)
	finishName = []byte(`finish_reason"`)
)

// chunk reads an OpenAI chunk. Its top level decides what it is: what a vendor nests in
// a delta of its own is a part of the answer.
func (m *Meter) chunk(event []byte, at jsonscan.Span) (verdict, []byte) {
	text := m.count(event, at)
	data := at.Of(event)
	if mayFinish(data) && finishes(data) {
		m.walker.tally.finished = true
		text = jsonscan.Span{}
	}
	if !bytes.Contains(data, usageName) {
		m.frame.learn(event, text, jsonscan.Span{})
		return verdictPass, nil
	}
	top, ok := readTop(event, at)
	switch {
	case !ok:
		m.walk(data)
		return verdictPass, nil
	case top.usages == 0:
		m.frame.learn(event, text, jsonscan.Span{})
		return verdictPass, nil
	case event[top.usage.Start] != '{':
		if top.usages == 1 && !top.first {
			m.frame.learn(event, text, top.member)
		}
	default:
		m.runningTotal(top.usage.Of(event))
		if top.onlyUsage() && text.End == 0 {
			return m.unlessStripped(verdictDrop)
		}
		if top.usages == 1 && !top.first {
			m.frame.learnTotal(event, text, top.member, top.usage)
		}
	}
	if !m.strip {
		return verdictPass, nil
	}
	if top.usages == 1 {
		return verdictReplace, m.replace(event, top.member, "")
	}
	return verdictReplace, m.withoutUsage(event, at)
}

// topLevel is what the members at the top of a chunk say.
type topLevel struct {
	usages  int           // members named usage
	usage   jsonscan.Span // value of the last
	member  jsonscan.Span // the last with its comma
	first   bool          // it is the first member of the object
	choices bool          // there is an answer, or something else in place of the list
	failed  bool          // there is an error
}

// onlyUsage says that the chunk carries usage and no answer: its list of choices is
// empty, as in OpenAI's, or not there.
func (t *topLevel) onlyUsage() bool { return !t.choices && !t.failed }

// readTop reads the top level of a chunk. ok is false if it is no JSON object.
func readTop(event []byte, at jsonscan.Span) (top topLevel, ok bool) {
	scanner := jsonscan.ScanObject(event[:at.End], at.Start)
	for begin, before := scanner.Pos, scanner.Pos; ; before = scanner.Pos {
		name, value, more := scanner.Next()
		if !more {
			return top, scanner.Err == nil
		}
		switch string(name) {
		case "usage":
			top.usages++
			top.usage, top.first = value, before == begin
			top.member = jsonscan.Span{Start: before, End: value.End}
			if top.first { // its comma comes after it
				if next := jsonscan.SkipSpace(event[:at.End], value.End); next < at.End && event[next] == ',' {
					top.member.End = next + 1
				}
			}
		case "choices":
			top.choices = event[value.Start] != '[' || jsonscan.SkipSpace(event, value.Start+1) != value.End-1
		case "error":
			top.failed = !jsonscan.IsNull(value.Of(event))
		}
	}
}

// mayFinish says that a chunk names a reason why an answer has ended. Some servers
// send an empty reason until then.
func mayFinish(data []byte) bool {
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

// finishes says that one of the choices of a chunk has a reason why it has ended.
func finishes(data []byte) bool {
	scanner := jsonscan.ScanObject(data, 0)
	for {
		name, value, ok := scanner.Next()
		if !ok {
			return false
		}
		if string(name) != "choices" {
			continue
		}
		choices := jsonscan.ScanArray(data[:value.End], value.Start)
		for choice, ok := choices.Next(); ok; choice, ok = choices.Next() {
			if hasReason(data[:choice.End], choice.Start) {
				return true
			}
		}
	}
}

func hasReason(data []byte, start int) bool {
	scanner := jsonscan.ScanObject(data, start)
	for {
		name, value, ok := scanner.Next()
		if !ok {
			return false
		}
		if string(name) == "finish_reason" && data[value.Start] == '"' && value.End-value.Start > 2 {
			return true
		}
	}
}

// runningTotal keeps a usage object without reading it: some servers send one with
// every chunk, and only the last counts.
func (m *Meter) runningTotal(usage []byte) {
	if len(m.total) > 0 || m.walker.tally.seen {
		if !bytes.ContainsAny(usage, "123456789") {
			return // a later all-zero usage object does not replace a real one
		}
	}
	m.total = append(m.total[:0], `{"usage":`...)
	m.total = append(m.total, usage...)
	m.total = append(m.total, '}')
}

func (m *Meter) unlessStripped(stripped verdict) (verdict, []byte) {
	if m.strip {
		return stripped, nil
	}
	return verdictPass, nil
}

// withoutUsage returns event without any usage at the top level of its text. It is for
// texts that have several.
func (m *Meter) withoutUsage(event []byte, at jsonscan.Span) []byte {
	scanner := jsonscan.ScanObject(event[:at.End], at.Start)
	m.scratch = append(m.scratch[:0], event[:scanner.Pos]...)
	for kept, before := 0, scanner.Pos; ; before = scanner.Pos {
		name, value, ok := scanner.Next()
		if !ok {
			m.scratch = append(m.scratch, event[before:]...)
			return m.scratch
		}
		if string(name) == "usage" {
			continue
		}
		if start := jsonscan.SkipSpace(event, before); kept == 0 && event[start] == ',' {
			before = start + 1
		}
		m.scratch = append(m.scratch, event[before:value.End]...)
		kept++
	}
}
