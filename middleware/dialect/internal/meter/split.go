package meter

import "bytes"

// Format is how a stream is cut into events.
type Format uint8

// The formats.
const (
	SSE    Format = iota // text/event-stream: events end with an empty line
	NDJSON               // one JSON text a line
)

// maxEvent limits, in bytes, what is kept of an incomplete event. A longer one is
// passed on in pieces.
const maxEvent = 64 << 10

// splitter cuts a stream into events. An incomplete event waits in tail; nothing else
// is copied.
type splitter struct {
	format Format
	tail   []byte
}

// join returns the tail and the next piece as one.
func (s *splitter) join(piece []byte) []byte {
	if len(s.tail) == 0 {
		return piece
	}
	s.tail = append(s.tail, piece...)
	return s.tail
}

// keep stores an incomplete event. rest may be a part of tail.
func (s *splitter) keep(rest []byte) {
	if len(rest) == 0 {
		s.tail = s.tail[:0]
		return
	}
	if cap(s.tail) >= len(rest) {
		s.tail = s.tail[:len(rest)]
		copy(s.tail, rest)
		return
	}
	s.tail = append([]byte(nil), rest...)
}

// end returns the length of the first event of data including its empty line, or 0 if
// it is incomplete.
func (s *splitter) end(data []byte) int {
	if s.format == SSE { // the empty line of an event that was passed on in pieces
		if bytes.HasPrefix(data, []byte("\n")) {
			return 1
		}
		if bytes.HasPrefix(data, []byte("\r\n")) {
			return 2
		}
	}
	at := 0
	for {
		found := bytes.IndexByte(data[at:], '\n')
		if found < 0 {
			return 0
		}
		at += found + 1
		if s.format == NDJSON {
			return at
		}
		switch {
		case at < len(data) && data[at] == '\n':
			return at + 1
		case at+1 < len(data) && data[at] == '\r' && data[at+1] == '\n':
			return at + 2
		}
	}
}
