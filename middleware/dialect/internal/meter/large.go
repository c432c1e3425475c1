package meter

import "bytes"

// largeEvent is what is known of an event longer than maxEvent while it passes in
// pieces.
type largeEvent struct {
	open   bool // it has not ended
	last   bool // it ends the stream
	brings bool // it may hold a piece of the answer
	halved bool // its last line ended with a CR, whose LF may come next
	// field is how many bytes of its line are the name of the data field, or lineData,
	// or lineOther.
	field uint8
}

// part is what a part of a large event is.
type part uint8

const (
	partText    part = iota // of a line
	partLineEnd             // the end of a line that holds no data
	partDataEnd             // the end of a line of data
	partRest                // the LF of a line that ended with a CR
	partEnd                 // the end of the event
)

const (
	lineData  = uint8(len("data:")) // the name has been read, data follows
	lineOther = lineData + 1        // a line of another field
)

// begin passes on the beginning of an event that is too long to keep.
func (m *Meter) begin(event []byte, sink Sink) error {
	m.large = largeEvent{open: true, brings: true}
	if m.shape.Events == Typed {
		kind := startType(event)
		m.large.last, m.large.brings = m.ends(kind), m.brings(kind)
	}
	m.walker.reset()
	m.produced = true
	m.scratch = m.scratch[:0]
	_, err := m.goOn(event, sink)
	return err
}

// goOn passes on the next piece of an event that is too long to keep, up to its end,
// and returns what follows. Of an event that ends the stream, the end of the last line
// of data is held back, in scratch, until it shows that it is the last.
func (m *Meter) goOn(piece []byte, sink Sink) (rest []byte, err error) {
	m.fate = verdictPass
	for len(piece) > 0 && m.large.open && err == nil {
		size, what := m.readLarge(piece)
		text := piece[:size]
		piece = piece[size:]
		if m.shape.Speech && m.large.brings {
			m.content += int64(size)
		}
		final := m.large.last || m.ended()
		switch {
		case final && what == partDataEnd, len(m.scratch) > 0 && what == partRest:
			m.scratch = append(m.scratch, text...)
		case what == partEnd && final:
			m.fate, m.terminal = verdictLast, true
			err = sink.Last(append(m.scratch, text...))
		default:
			if err = passSome(sink, m.scratch); err == nil {
				err = sink.Pass(text)
			}
			m.scratch = m.scratch[:0]
		}
		if what == partEnd {
			m.splitter.halved = len(piece) == 0 && text[size-1] == '\r'
			if m.large.brings && !final && !m.shape.Images && !m.shape.Speech {
				m.counted(maxEvent)
			}
		}
	}
	return piece, err
}

// readLarge reads a part of the event and returns its length.
func (m *Meter) readLarge(piece []byte) (size int, what part) {
	large := &m.large
	if m.splitter.format == NDJSON {
		if piece[0] == '\n' {
			large.open = false
			return 1, partEnd
		}
		if size = bytes.IndexByte(piece, '\n'); size < 0 {
			size = len(piece)
		}
		m.walker.feed(piece[:size])
		return size, partText
	}
	if large.halved {
		large.halved = false
		if piece[0] == '\n' {
			return 1, partRest
		}
	}
	if size = lineSize(piece); size > 0 {
		m.readField(piece[:size])
		return size, partText
	}
	switch large.field {
	case 0: // an empty line
		large.open, what = false, partEnd
	case lineData:
		what = partDataEnd
	default:
		what = partLineEnd
	}
	large.field = 0
	if piece[0] == '\r' && len(piece) > 1 && piece[1] == '\n' {
		return 2, what
	}
	large.halved = piece[0] == '\r' && len(piece) == 1
	return 1, what
}

// readField reads a part of a line: of data if that is its field.
func (m *Meter) readField(part []byte) {
	for field := &m.large.field; len(part) > 0 && *field < lineData; part = part[1:] {
		if part[0] == dataField[*field] {
			*field++
		} else {
			*field = lineOther
		}
	}
	if m.large.field == lineData {
		m.walker.feed(part)
	}
}

// startType returns the type of an event of which only the beginning is known: its
// name, or the type with which its JSON begins.
func startType(event []byte) []byte {
	if name, ok := bytes.CutPrefix(event, eventField); ok {
		return bytes.TrimSpace(name[:lineSize(name)])
	}
	if start := bytes.IndexAny(event, "{["); start >= 0 {
		return eventType(event[start:])
	}
	return nil
}
