package jsonscan

import (
	"bytes"
	"fmt"
)

// SyntaxError says where a text is not what RFC 8259 calls JSON.
type SyntaxError struct {
	At   int    // index of the byte
	What string // what is wrong there
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s: %s at byte %d", ErrSyntax, e.What, e.At)
}

// Unwrap returns ErrSyntax.
func (e *SyntaxError) Unwrap() error { return ErrSyntax }

func wrong(at int, what string) (int, error) { return 0, &SyntaxError{at, what} }

// checker reads values as strictly as RFC 8259.
type checker struct {
	text  []byte
	named int // index after the name that was read last
}

// value returns the index after the value that starts at an index, in so many lists and
// objects.
func (c *checker) value(at, within int) (int, error) {
	var objects [MaxDepth/64 + 1]uint64 // bit set: the open bracket is an object
	depth := 0
	var err error
	for {
		// A value begins here.
		if at >= len(c.text) {
			return wrong(at, "the text ends where a value is expected")
		}
		switch first := c.text[at]; first {
		case '"':
			at, err = c.str(at)
		case '{', '[':
			if within+depth == MaxDepth {
				return 0, ErrDepth
			}
			depth++
			word, bit := depth/64, uint64(1)<<(depth%64)
			objects[word] &^= bit
			closing := byte(']')
			if first == '{' {
				objects[word] |= bit
				closing = '}'
			}
			at = SkipSpace(c.text, at+1)
			if at < len(c.text) && c.text[at] == closing {
				break // an empty one is closed below
			}
			if first == '{' {
				at, err = c.name(at)
			}
			if err != nil {
				return 0, err
			}
			continue
		default:
			at, err = c.literal(at)
		}
		if err != nil {
			return 0, err
		}
		// It has ended, and perhaps those that hold it.
		for more := false; !more; {
			if depth == 0 {
				return at, nil
			}
			object := objects[depth/64]&(uint64(1)<<(depth%64)) != 0
			if at, more, err = c.after(at, object); err != nil {
				return 0, err
			}
			if !more {
				depth--
			}
		}
	}
}

// after reads what follows a value in a list or an object: its end, or a comma and, in
// an object, the next name.
func (c *checker) after(at int, object bool) (next int, more bool, err error) {
	at = SkipSpace(c.text, at)
	if at >= len(c.text) {
		_, err = wrong(at, "the text ends within a list or an object")
		return 0, false, err
	}
	closing := byte(']')
	if object {
		closing = '}'
	}
	switch c.text[at] {
	case closing:
		return at + 1, false, nil
	case ',':
		at = SkipSpace(c.text, at+1)
		if object {
			at, err = c.name(at)
		}
		return at, true, err
	}
	_, err = wrong(at, "a comma or the end of a list or an object is expected")
	return 0, false, err
}

// name reads a member's name and its colon, and returns the index of the value.
func (c *checker) name(at int) (int, error) {
	if at >= len(c.text) || c.text[at] != '"' {
		return wrong(at, "a member's name is expected")
	}
	end, err := c.str(at)
	if err != nil {
		return 0, err
	}
	c.named = end
	if at = SkipSpace(c.text, end); at >= len(c.text) || c.text[at] != ':' {
		return wrong(at, "a colon is expected")
	}
	return SkipSpace(c.text, at+1), nil
}

// literal returns the index after the number, true, false or null at an index.
func (c *checker) literal(at int) (int, error) {
	end := at
	switch rest := c.text[at:]; {
	case rest[0] == '-' || rest[0] >= '0' && rest[0] <= '9':
		end = number(c.text, at)
	case bytes.HasPrefix(rest, []byte("true")), bytes.HasPrefix(rest, []byte("null")):
		end += len("true")
	case bytes.HasPrefix(rest, []byte("false")):
		end += len("false")
	}
	if end == at || end < len(c.text) && isLiteral(c.text[end]) {
		return wrong(at, "a value is expected")
	}
	return end, nil
}

// number returns the index after the number at an index, or the index itself if it is
// none.
func number(text []byte, start int) int {
	at := start
	if text[at] == '-' {
		at++
	}
	if at < len(text) && text[at] == '0' {
		at++
	} else if at = digitsEnd(text, at); at < 0 {
		return start
	}
	if at < len(text) && text[at] == '.' {
		if at = digitsEnd(text, at+1); at < 0 {
			return start
		}
	}
	if at < len(text) && (text[at] == 'e' || text[at] == 'E') {
		if at++; at < len(text) && (text[at] == '+' || text[at] == '-') {
			at++
		}
		if at = digitsEnd(text, at); at < 0 {
			return start
		}
	}
	return at
}

// digitsEnd returns the index after the digits at an index, negative if there are none.
func digitsEnd(text []byte, start int) int {
	at := start
	for at < len(text) && text[at]-'0' < 10 {
		at++
	}
	if at == start {
		return -1
	}
	return at
}
