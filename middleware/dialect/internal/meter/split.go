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
	// returns says that the data has carriage returns, which end lines as line feeds do.
	returns bool
	// halved says that the last event ended with a carriage return at the end of the
	// data. A line feed that comes next belongs to it.
	halved bool
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
	switch {
	case s.format == NDJSON:
		return bytes.IndexByte(data, '\n') + 1
	case s.returns:
		return endOfMixed(data)
	case len(data) > 0 && data[0] == '\n':
		return 1 // an empty line alone
	}
	for at := 0; ; {
		found := bytes.IndexByte(data[at:], '\n')
		if found < 0 {
			return 0
		}
		at += found + 1
		if at < len(data) && data[at] == '\n' {
			return at + 1
		}
	}
}

// endOfMixed is end for data whose lines end with CR, LF or CRLF. A CR at the end of
// data may have its LF yet to come. An event does not wait for that unless its lines
// end so.
func endOfMixed(data []byte) int {
	pairs := false // the line before ended with CRLF
	for at := 0; at < len(data); {
		size := lineSize(data[at:])
		ending := data[at+size:]
		switch {
		case len(ending) == 0:
			return 0
		case len(ending) == 1 && ending[0] == '\r':
			if size > 0 || pairs {
				return 0
			}
			return at + 1
		}
		pairs = ending[0] == '\r' && ending[1] == '\n'
		at += size + 1
		if pairs {
			at++
		}
		if size == 0 {
			return at
		}
	}
	return 0
}

// lineSize returns the length of the first line of data without its end.
func lineSize(data []byte) int {
	size := bytes.IndexByte(data, '\n')
	if size < 0 {
		size = len(data)
	}
	if found := bytes.IndexByte(data[:size], '\r'); found >= 0 {
		return found
	}
	return size
}

// nextLine returns the first line of data without its end, and what follows.
func nextLine(data []byte) (line, rest []byte) {
	size := lineSize(data)
	line, rest = data[:size], data[size:]
	if len(rest) > 0 && rest[0] == '\r' {
		rest = rest[1:]
		if len(rest) == 0 || rest[0] != '\n' {
			return line, rest
		}
	}
	if len(rest) > 0 {
		rest = rest[1:]
	}
	return line, rest
}
