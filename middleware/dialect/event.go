package dialect

import "bytes"

// verdict is what happens to an event.
type verdict uint8

const (
	verdictPass verdict = iota
	verdictDrop
	verdictReplace
	verdictLast
)

var (
	usageName    = []byte(`"usage"`)
	finishName   = []byte(`"finish_reason":"`)
	nullUsage    = []byte(`,"usage":null`)
	emptyChoices = []byte(`"choices":[]`)
	doneText     = []byte("[DONE]")
	errorStart   = []byte(`{"error"`)
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
	if bytes.HasPrefix(data, errorStart) {
		m.failed = true
	}
	switch m.operation {
	case Chat, Completions:
		return m.chunk(event, data)
	case Messages, Responses:
		return m.typedEvent(data)
	}
	return m.nativeEvent(event, data)
}

// chunk reads an OpenAI chunk.
func (m *Meter) chunk(event, data []byte) (verdict, []byte) {
	m.count(data)
	if bytes.Contains(data, finishName) {
		m.walker.tally.finished = true
	}
	if !bytes.Contains(data, usageName) {
		return verdictPass, nil
	}
	m.walker.reset()
	m.walker.feed(data)
	if !m.strip {
		return verdictPass, nil
	}
	if at := bytes.Index(event, nullUsage); at >= 0 {
		m.scratch = append(append(m.scratch[:0], event[:at]...), event[at+len(nullUsage):]...)
		return verdictReplace, m.scratch
	}
	if bytes.Contains(data, emptyChoices) {
		return verdictDrop, nil
	}
	return removeUsage(event, data)
}

// removeUsage takes the usage out of an event's JSON, or drops the event if it
// carries nothing else.
func removeUsage(event, data []byte) (verdict, []byte) {
	scanner := scanObject(data, 0)
	empty := false
	var cut span
	for before := scanner.pos; ; before = scanner.pos {
		name, value, ok := scanner.next()
		if !ok {
			break
		}
		switch string(name) {
		case "usage":
			cut = span{before, value.end}
			if data[skipSpace(data, before)] != ',' { // the first member: its comma comes after it
				if next := skipSpace(data, value.end); next < len(data) && data[next] == ',' {
					cut.end = next + 1
				}
			}
		case "choices":
			empty = data[value.start] == '[' && skipSpace(data, value.start+1) == value.end-1
		}
	}
	if scanner.err != nil || cut.end == 0 {
		return verdictPass, nil
	}
	if empty {
		return verdictDrop, nil
	}
	return verdictReplace, splice(event, data, cut, "")
}

// hideDetails puts null in the place of the details that TGI sends on its last
// event: what a caller gets who did not ask for them.
func hideDetails(event, data []byte) []byte {
	scanner := scanObject(data, 0)
	for {
		name, value, ok := scanner.next()
		if !ok {
			return event
		}
		if string(name) == "details" {
			return splice(event, data, value, "null")
		}
	}
}

// splice returns event with a part of data, which is a part of event, replaced.
func splice(event, data []byte, cut span, text string) []byte {
	start := bytes.Index(event, data)
	out := make([]byte, 0, len(event)+len(text))
	out = append(append(out, event[:start+cut.start]...), text...)
	return append(out, event[start+cut.end:]...)
}

// typedEvent reads an event of the Messages or the Responses API, which say
// their type inside.
func (m *Meter) typedEvent(data []byte) (verdict, []byte) {
	m.count(data)
	if bytes.Contains(data, usageName) {
		m.walker.reset()
		m.walker.feed(data)
	}
	kind := eventType(data)
	switch string(kind) {
	case "message_stop", "response.completed", "response.incomplete":
		m.terminal = true
		return verdictLast, nil
	case "response.failed", "error":
		m.failed = true
	}
	return verdictPass, nil
}

// eventType returns the type that an event names at its top level. Nearly all
// servers write it first; the others cost a scan.
func eventType(data []byte) []byte {
	if rest, ok := bytes.CutPrefix(data, []byte(`{"type":"`)); ok {
		if end := bytes.IndexByte(rest, '"'); end >= 0 {
			return rest[:end]
		}
	}
	scanner := scanObject(data, 0)
	for {
		name, value, ok := scanner.next()
		if !ok {
			return nil
		}
		if string(name) == "type" && value.end-value.start > 2 {
			return data[value.start+1 : value.end-1]
		}
	}
}

// nativeEvent reads an event of the servers' own APIs, which report running
// figures on most events.
func (m *Meter) nativeEvent(event, data []byte) (verdict, []byte) {
	m.count(data)
	m.walker.reset()
	m.walker.feed(data)
	tally := &m.walker.tally
	switch m.operation {
	case GenerateStream:
		if !tally.finished {
			return verdictPass, nil
		}
		m.terminal = true
		if m.strip {
			return verdictLast, hideDetails(event, data)
		}
		return verdictLast, nil
	case OllamaChat, OllamaGenerate, LlamaCompletion:
		if tally.done {
			m.terminal = true
			return verdictLast, nil
		}
	}
	return verdictPass, nil
}

// contentKeys are the members that hold a piece of an answer.
var contentKeys = [...][]byte{
	[]byte(`"content":`), []byte(`"text":`), []byte(`"delta":`), []byte(`"response":`), []byte(`"reasoning_content":`),
	[]byte(`"reasoning":`), []byte(`"arguments":`), []byte(`"thinking":`), []byte(`"partial_json":`),
}

// count counts an event that carries a piece of an answer. The key that was
// found last is tried first.
func (m *Meter) count(data []byte) {
	if size := textAfter(data, contentKeys[m.key]); size > 0 {
		m.counted(size)
		return
	}
	for i, key := range contentKeys {
		if size := textAfter(data, key); size > 0 {
			m.key = i
			m.counted(size)
			return
		}
	}
}

func (m *Meter) counted(size int) {
	m.events++
	m.content += int64(size)
	m.produced = true
}

// textAfter returns the bytes of the text that follows key, 0 if there is none.
func textAfter(data, key []byte) int {
	found := bytes.Index(data, key)
	if found < 0 {
		return 0
	}
	at := skipSpace(data, found+len(key))
	if at >= len(data) || data[at] != '"' {
		return 0
	}
	end := skipString(data, at)
	if end < 0 {
		return len(data) - at - 1
	}
	return end - at - 2
}
