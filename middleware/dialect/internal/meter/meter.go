// Package meter reads usage out of replies while they pass. What the replies of an
// operation look like is handed in as a [Shape].
package meter

import (
	"bytes"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// Meter reads usage out of a passing reply. It keeps nothing of the reply but
// the part of an event whose end has not arrived (at most 64 KiB). It is for one
// reply and one goroutine.
type Meter struct {
	shape    *Shape
	splitter splitter
	walker   walker

	events   int64 // that carried a piece of the answer
	content  int64 // bytes of these pieces
	key      int   // index of the content key that was found last
	terminal bool  // the end of the stream was seen
	failed   bool  // the upstream sent an error event
	produced bool  // a piece of the answer was seen
	strip    bool  // usage was not asked for by the caller
	early    bool  // usage came only at the beginning of the stream
	fate     verdict
	large    largeEvent
	frame    frame
	total    []byte // latest usage object, not yet read
	scratch  []byte // the event that was changed last
}

// New returns the meter of a reply of this shape; nil: nothing is known about it.
// With strip set, usage that the caller did not ask for is taken out of the stream.
func New(shape *Shape, strip bool) (m Meter) {
	if shape == nil {
		shape = &unknown
	}
	m.shape, m.strip, m.walker.totals = shape, strip && shape.OnRequest, shape.TotalIsInput
	m.walker.sound, m.walker.images = shape.Sound, shape.Images
	return m
}

// Sink receives what Stream passes on.
type Sink interface {
	// Pass receives events in order. The bytes are valid until it returns.
	Pass(events []byte) error
	// Last receives the event that completes the answer for the client, or an error, and
	// everything after it.
	Last(events []byte) error
}

// Stream reads the next piece of an event stream and passes its events on. An
// incomplete event waits for the rest of it.
func (m *Meter) Stream(format Format, piece []byte, sink Sink) error {
	m.splitter.format = format
	if m.splitter.halved && len(piece) > 0 {
		m.splitter.halved = false
		if piece[0] == '\n' {
			if err := m.send(m.fate, piece[:1], sink); err != nil {
				return err
			}
			piece = piece[1:]
		}
	}
	if m.large.open {
		rest, err := m.goOn(piece, sink)
		if err != nil || len(rest) == 0 {
			return err
		}
		piece = rest
	}
	return m.passEvents(m.splitter.join(piece), sink)
}

// passEvents passes on the events in data and keeps what follows the last.
func (m *Meter) passEvents(data []byte, sink Sink) error {
	m.splitter.returns = bytes.IndexByte(data, '\r') >= 0
	from, at := 0, 0 // data[from:at] is read but not passed on
	for {
		size := m.splitter.end(data[at:])
		if size == 0 {
			break
		}
		event := data[at : at+size]
		verdict, replacement := m.judge(event)
		m.fate = verdict
		if verdict == verdictPass {
			at += size
			continue
		}
		if err := passSome(sink, data[from:at]); err != nil {
			return err
		}
		if replacement != nil {
			event = replacement
		}
		if err := m.send(verdict, event, sink); err != nil {
			return err
		}
		at += size
		from = at
	}
	m.splitter.halved = m.splitter.returns && at > 0 && at == len(data) && data[at-1] == '\r'
	if err := passSome(sink, data[from:at]); err != nil {
		return err
	}
	return m.rest(data[at:], sink)
}

// judge reads an event. The first that is an error is held back like one that ends the
// answer: it may say what the client is not to read.
func (m *Meter) judge(event []byte) (verdict, []byte) {
	failed := m.failed
	what, replacement := m.event(event)
	if m.failed && !failed && what == verdictPass {
		what = verdictLast
	}
	return what, replacement
}

// send passes on an event or its replacement, unless it is dropped.
func (m *Meter) send(verdict verdict, event []byte, sink Sink) error {
	switch verdict {
	case verdictDrop:
		return nil
	case verdictLast:
		return holdLast(sink, event)
	}
	return sink.Pass(event)
}

// holdLast passes on the event that ends the answer. All but the tail of a long one,
// such as those that repeat the whole request, may be sent early: clients act on an
// event only once its blank line arrives.
func holdLast(sink Sink, event []byte) error {
	if len(event) > maxEvent/2 {
		end := len(bytes.TrimRight(event, "\r\n")) - 1
		if err := sink.Pass(event[:end]); err != nil {
			return err
		}
		event = event[end:]
	}
	return sink.Last(event)
}

func passSome(sink Sink, events []byte) error {
	if len(events) == 0 {
		return nil
	}
	return sink.Pass(events)
}

// rest keeps an incomplete event, or begins to pass it on if it is too long to keep.
func (m *Meter) rest(rest []byte, sink Sink) error {
	if len(rest) <= maxEvent {
		m.splitter.keep(rest)
		return nil
	}
	err := m.begin(rest, sink)
	m.splitter.keep(nil)
	return err
}

// Flush passes on an event that is still incomplete when the stream ends.
func (m *Meter) Flush(sink Sink) error {
	rest := m.splitter.tail
	if len(rest) == 0 {
		return nil
	}
	m.splitter.tail = nil
	verdict, replacement := m.judge(rest)
	if replacement != nil {
		rest = replacement
	}
	if verdict == verdictLast {
		return sink.Last(rest)
	}
	return m.send(verdict, rest, sink)
}

// Body reads the next piece of a reply that is one JSON text.
func (m *Meter) Body(piece []byte) { m.walker.feed(piece) }

// ReportTexts adds figures that came in headers, if both are plausible.
func (m *Meter) ReportTexts(input, output string) {
	in, ok := jsonscan.ParseInteger([]byte(input))
	out, ok2 := jsonscan.ParseInteger([]byte(output))
	if ok && ok2 && in >= 0 && out >= 0 {
		m.walker.tally.set(fieldInput, in, true)
		m.walker.tally.set(fieldOutput, out, true)
	}
}

// Reported returns what the upstream has reported so far, or false if it reported
// nothing plausible.
func (m *Meter) Reported() (Usage, bool) {
	if len(m.total) > 0 {
		m.walk(m.total)
	}
	sum := m.walker.total()
	return sum.usage(m.shape.CachedApart)
}

// Early says that the output was reported only at the beginning of the stream, as
// Anthropic's servers do. That figure is not the total.
func (m *Meter) Early() bool { return m.early }

// Counted returns the output tokens as counted from the stream: one per event, or
// one per four bytes where that is more. Sound is taken for 128 kbit/s.
func (m *Meter) Counted() int64 {
	if m.shape.Speech {
		const second = 16_000 * 4 / 3 // bytes of base64
		return (m.content*SoundUnits + second - 1) / second
	}
	return max(m.events, (m.content+3)/4)
}

// Produced says that a piece of the answer has passed.
func (m *Meter) Produced() bool { return m.produced }

// Complete says that the end of the stream was seen, or at least that all its
// answers have finished.
func (m *Meter) Complete() bool {
	return m.terminal || m.walker.tally.finished || m.walker.tally.done
}

// Failed says that the upstream sent an error event.
func (m *Meter) Failed() bool { return m.failed }
