package jsonscan

import "unicode/utf8"

// Cursor reads a text from its beginning to its end, value by value. Its user decides
// at each value whether to enter it or to skip it, and no byte is read twice.
//
//	cursor.Enter()
//	for {
//		name, ok := cursor.Member()
//		if !ok {
//			break
//		}
//		span := cursor.Skip()
//	}
//
// After an error there are no more members and elements, and all values are empty.
type Cursor struct {
	Pos int // of the next byte
	Err error

	check   checker
	lenient bool
	depth   int
	fresh   bool // nothing of the list or object has been read
}

// NewCursor returns a cursor at the first value of a text. A lenient one checks that the
// text is UTF-8, at once, and then strings, brackets and separators only.
func NewCursor(text []byte, lenient bool) Cursor {
	cursor := Cursor{Pos: SkipSpace(text, 0), check: checker{text: text}, lenient: lenient}
	if lenient && !utf8.Valid(text) {
		cursor.Err = ErrUTF8
	}
	return cursor
}

// Kind returns the first byte of the value that comes next: a quote, a bracket, or that
// of a word or a number. 0: there is none.
func (c *Cursor) Kind() byte {
	if c.Err != nil || c.Pos >= len(c.check.text) {
		return 0
	}
	return c.check.text[c.Pos]
}

// Enter goes into the object or list that comes next.
func (c *Cursor) Enter() {
	switch {
	case c.Err != nil:
	case c.depth == MaxDepth:
		c.Err = ErrDepth
	default:
		c.depth++
		c.Pos++
		c.fresh = true
	}
}

// Member goes to the next value of the object, and returns its name without quotes and
// with its escapes. At the end of the object it leaves it and returns false.
func (c *Cursor) Member() (name []byte, ok bool) {
	if !c.more('}', "a comma or the end of the object is expected") {
		return nil, false
	}
	start := c.Pos
	if !c.lenient {
		end, err := c.check.name(start)
		if err != nil {
			c.Err = err
			return nil, false
		}
		c.Pos = end
		return c.check.text[start+1 : c.check.named-1], true
	}
	text := c.check.text
	end := -1
	if start < len(text) && text[start] == '"' {
		end = SkipString(text, start)
	}
	if end < 0 {
		c.Err = ErrSyntax
		return nil, false
	}
	if c.Pos = SkipSpace(text, end); c.Pos >= len(text) || text[c.Pos] != ':' {
		c.Err = ErrSyntax
		return nil, false
	}
	c.Pos = SkipSpace(text, c.Pos+1)
	return text[start+1 : end-1], true
}

// Element goes to the next value of the list. At the end of the list it leaves it and
// returns false.
func (c *Cursor) Element() bool { return c.more(']', "a comma or the end of the list is expected") }

// more goes to the next member or element, and leaves at the end.
func (c *Cursor) more(closing byte, expected string) bool {
	if c.Err != nil {
		return false
	}
	text := c.check.text
	c.Pos = SkipSpace(text, c.Pos)
	switch {
	case c.Pos < len(text) && text[c.Pos] == closing:
		c.Pos++
		c.depth--
		c.fresh = false
		return false
	case c.fresh:
		c.fresh = false
		return true
	case c.Pos < len(text) && text[c.Pos] == ',':
		c.Pos = SkipSpace(text, c.Pos+1)
		if c.lenient && c.Pos < len(text) && text[c.Pos] == closing {
			return c.more(closing, expected) // a comma after the last one
		}
		return true
	}
	c.Err = &SyntaxError{c.Pos, expected}
	return false
}

// Skip goes behind the next value and returns where it stands.
func (c *Cursor) Skip() Span {
	if c.Err != nil {
		return Span{}
	}
	start, end := c.Pos, 0
	switch {
	case c.lenient:
		end, c.Err = SkipValue(c.check.text, start)
	case start < len(c.check.text) && c.check.text[start] == '"':
		end, c.Err = c.check.str(start)
	default:
		end, c.Err = c.check.value(start, c.depth)
	}
	if c.Err != nil {
		return Span{}
	}
	c.Pos = end
	return Span{start, end}
}
