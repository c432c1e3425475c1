// Package rename puts the public name of a model into replies that pass, where the
// upstream's own name for it stands.
package rename

import (
	"bytes"
	"encoding/json"
)

// Format is how a reply is cut into JSON texts.
type Format uint8

// The formats.
const (
	JSON   Format = iota // the whole reply is one
	NDJSON               // one a line
	SSE                  // one an event
)

// Model puts one name into one reply. The members are replaced by their place: model at
// the top of a text, and model in its members message and response. It keeps no part of
// the reply, whatever its pieces are. It is for one goroutine.
type Model struct {
	name   []byte // as JSON
	format Format
	out    []byte

	line     lineState
	matched  int  // bytes of the field's name that were found
	returned bool // the last byte was a carriage return
	text     text
}

// lineState is what a line of an event stream is.
type lineState uint8

const (
	lineBegins lineState = iota // nothing but a part of the field's name was read
	lineData
	lineOther
)

// dataField begins the lines that hold an event's text.
const dataField = "data:"

// New returns what puts name into a reply.
func New(name string) *Model {
	quoted, err := json.Marshal(name)
	if err != nil { // a text always has a form in JSON
		panic(err)
	}
	return &Model{name: quoted}
}

var modelMember = []byte(`model"`)

// Apply returns the next piece of the reply with the name in it. The bytes are valid until
// the next call; a piece that names no model is returned as it is.
func (m *Model) Apply(format Format, piece []byte) []byte {
	m.format = format
	if m.between() && endsEvent(format, piece) && !bytes.Contains(piece, modelMember) {
		m.returned = false
		return piece
	}
	m.out = m.out[:0]
	if format == JSON {
		m.text.read(m, piece)
		return m.out
	}
	for len(piece) > 0 {
		size, ends := lineEnd(piece)
		m.readLine(piece[:size])
		if ends {
			m.endLine(piece[size])
			m.out = append(m.out, piece[size])
			size++
		}
		piece = piece[size:]
	}
	return m.out
}

// between says that the reply stands between two events.
func (m *Model) between() bool {
	return m.format != JSON && m.line == lineBegins && m.matched == 0 && m.text == text{}
}

// endsEvent says that a piece ends where an event does.
func endsEvent(format Format, piece []byte) bool {
	rest, ends := bytes.CutSuffix(piece, []byte("\n"))
	if format == NDJSON || !ends {
		return ends
	}
	return bytes.HasSuffix(bytes.TrimSuffix(rest, []byte("\r")), []byte("\n"))
}

// lineEnd returns the size of the rest of a line, and whether its end follows.
func lineEnd(piece []byte) (size int, ends bool) {
	size = bytes.IndexByte(piece, '\n')
	if ends = size >= 0; !ends {
		size = len(piece)
	}
	if at := bytes.IndexByte(piece[:size], '\r'); at >= 0 {
		return at, true
	}
	return size, ends
}

// readLine reads a part of a line.
func (m *Model) readLine(part []byte) {
	if len(part) == 0 {
		return
	}
	m.returned = false
	if m.format == NDJSON {
		m.text.read(m, part)
		m.line = lineData
		return
	}
	for m.line == lineBegins && len(part) > 0 {
		m.out = append(m.out, part[0])
		switch {
		case part[0] != dataField[m.matched]:
			m.line = lineOther
		case m.matched == len(dataField)-1:
			m.line = lineData
		default:
			m.matched++
		}
		part = part[1:]
	}
	if m.line == lineData {
		m.text.read(m, part)
	} else {
		m.out = append(m.out, part...)
	}
}

// endLine ends a line. The text of an event goes on in its next line of data.
func (m *Model) endLine(end byte) {
	second := end == '\n' && m.returned
	m.returned = end == '\r'
	if second {
		return
	}
	if m.format == NDJSON || m.line == lineBegins && m.matched == 0 {
		m.text = text{}
	}
	m.line, m.matched = lineBegins, 0
}
