package meter

import "bytes"

// largeEvent is what is known of an event longer than maxEvent while it passes in
// pieces.
type largeEvent struct {
	open   bool // its line has not ended
	last   bool // it ends the stream
	brings bool // it may hold a piece of the answer
}

// begin passes on the beginning of an event that is too long to keep.
func (m *Meter) begin(event []byte, sink Sink) error {
	text := afterPrefix(event)
	m.large = largeEvent{open: true, brings: true}
	if m.shape.Events == Typed {
		kind := startType(event, text)
		m.large.last, m.large.brings = m.ends(kind), m.brings(kind)
	}
	m.walker.reset()
	m.walker.feed(text)
	m.produced = true
	return sink.Pass(event)
}

// goOn passes on the next piece of an event that is too long to keep, up to the end of
// its line, and returns what follows.
func (m *Meter) goOn(piece []byte, sink Sink) (rest []byte, err error) {
	end := bytes.IndexByte(piece, '\n')
	if end < 0 {
		m.walker.feed(piece)
		return nil, sink.Pass(piece)
	}
	m.walker.feed(piece[:end])
	m.large.open = false
	if m.large.last || m.ended() {
		m.terminal = true
		if err := passSome(sink, piece[:end]); err != nil {
			return nil, err
		}
		return piece[end+1:], sink.Last(piece[end : end+1])
	}
	if m.large.brings {
		m.counted(maxEvent)
	}
	return piece[end+1:], sink.Pass(piece[:end+1])
}

// startType returns the type of an event of which only the beginning is known: its
// name, or the type with which its JSON begins.
func startType(event, text []byte) []byte {
	if name, ok := bytes.CutPrefix(event, []byte("event:")); ok {
		name, _, _ = bytes.Cut(name, []byte("\n"))
		return bytes.TrimSpace(name)
	}
	return eventType(text)
}

// afterPrefix returns an event's text from its JSON on.
func afterPrefix(event []byte) []byte {
	if start := bytes.IndexAny(event, "{["); start >= 0 {
		return event[start:]
	}
	return nil
}
