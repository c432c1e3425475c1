package meter

import "bytes"

// Format is how a stream is cut into events.
type Format uint8

// The formats.
const (
	SSE    Format = iota // text/event-stream: events end with an empty line
	NDJSON               // one JSON text a line
)

// maxEvent bounds what is kept of an event that has not come whole. A longer one
// is passed on in pieces.
const maxEvent = 64 << 10

// splitter cuts the pieces of a stream into whole events. What has not come
// whole yet waits in tail; nothing else is copied.
type splitter struct {
	format Format
	tail   []byte
}

// join returns what there is to cut: the piece itself, or the tail with it.
func (s *splitter) join(piece []byte) []byte {
	if len(s.tail) == 0 {
		return piece
	}
	s.tail = append(s.tail, piece...)
	return s.tail
}

// keep stores the rest that did not come whole. rest may be a part of tail.
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

// end returns the length of the first event of data with its empty line, or 0
// if it is not whole.
func (s *splitter) end(data []byte) int {
	if s.format == SSE { // an empty line by itself, after an event that was let go
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
