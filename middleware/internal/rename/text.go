package rename

import "bytes"

// meaning is what the value of a member is.
type meaning uint8

const (
	meansNothing meaning = iota
	meansModel           // the name of the model
	meansWrapper         // an object that names the model
)

// longestName is the size of the longest member that is looked for.
const longestName = len("response")

// text is what is known of a JSON text that comes in pieces. The zero value is its
// beginning.
type text struct {
	depth   int
	top     bool // the outermost value is an object
	wrapper bool // the value at depth 2 is a wrapper

	inString bool
	escaped  bool // the next byte of the string is
	isName   bool // the string is the name of a member
	dropped  bool // the string is the model's name
	named    bool // the member's name was read, its value follows

	member [longestName]byte
	size   int // of member; longer ones are not looked for
	means  meaning
}

// looked says whether members are looked at where the text is now.
func (t *text) looked() bool {
	return t.depth == 1 && t.top || t.depth == 2 && t.wrapper
}

// read reads the next piece and adds it to the reply, with the name in it.
func (t *text) read(m *Model, piece []byte) {
	for at := 0; at < len(piece); {
		if t.inString {
			size := t.readString(piece[at:])
			if !t.dropped {
				m.out = append(m.out, piece[at:at+size]...)
			}
			if at += size; !t.inString {
				t.dropped = false
			}
			continue
		}
		if piece[at] == '"' {
			t.beginString()
			if t.dropped {
				m.out = append(m.out, m.name...)
				at++
				continue
			}
		} else {
			t.step(piece[at])
		}
		m.out = append(m.out, piece[at])
		at++
	}
}

// beginString begins a name or a value.
func (t *text) beginString() {
	t.inString = true
	if !t.looked() {
		return
	}
	if t.isName = !t.named; t.isName {
		t.size = 0
		return
	}
	t.dropped = t.means == meansModel
}

// step reads one byte outside strings.
func (t *text) step(c byte) {
	switch c {
	case '{', '[':
		t.depth++
		switch t.depth {
		case 1:
			t.top = c == '{'
		case 2:
			t.wrapper = c == '{' && t.means == meansWrapper
		}
		t.named, t.means = false, meansNothing
	case '}', ']':
		if t.depth > 0 {
			t.depth--
		}
		t.named, t.means = true, meansNothing // a comma follows
	case ',':
		t.named, t.means = false, meansNothing
	}
}

// readString reads up to the end of the string or of the piece.
func (t *text) readString(piece []byte) int {
	for at := 0; ; {
		if t.escaped {
			if at == len(piece) {
				return at
			}
			t.escaped = false
			t.add(piece[at : at+1])
			at++
		}
		found := bytes.IndexByte(piece[at:], '"')
		end := at + found
		if found < 0 {
			end = len(piece)
		}
		if slash := bytes.IndexByte(piece[at:end], '\\'); slash >= 0 {
			t.add(piece[at : at+slash+1])
			t.escaped = true
			at += slash + 1
			continue
		}
		t.add(piece[at:end])
		if found < 0 {
			return end
		}
		t.endString()
		return end + 1
	}
}

// add adds to the name of a member.
func (t *text) add(part []byte) {
	if !t.isName {
		return
	}
	if t.size+len(part) > longestName {
		t.size = longestName + 1
		return
	}
	t.size += copy(t.member[t.size:], part)
}

func (t *text) endString() {
	t.inString = false
	if !t.isName {
		return
	}
	t.isName, t.named, t.means = false, true, meansNothing
	if t.size > longestName {
		return
	}
	switch string(t.member[:t.size]) {
	case "model":
		t.means = meansModel
	case "message", "response":
		if t.depth == 1 {
			t.means = meansWrapper
		}
	}
}
