package jsonscan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
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

// Valid says that a text is UTF-8, and whether it is plain: without a control
// character anywhere.
func Valid(text []byte) (valid, plain bool) {
	const high, least = 0x8080808080808080, 0x2020202020202020
	at := 0
	for ; at+32 <= len(text); at += 32 {
		block := text[at : at+32 : at+32]
		one, two := binary.LittleEndian.Uint64(block), binary.LittleEndian.Uint64(block[8:])
		three, four := binary.LittleEndian.Uint64(block[16:]), binary.LittleEndian.Uint64(block[24:])
		if (one|(one-least)|two|(two-least)|three|(three-least)|four|(four-least))&high != 0 {
			break
		}
	}
	rest := text[at:]
	return utf8.Valid(rest), !hasControl(rest)
}

// hasControl says that a text has a control character, which no JSON string may hold.
func hasControl(text []byte) bool {
	for _, c := range text {
		if c < ' ' {
			return true
		}
	}
	return false
}

// checker reads values as strictly as RFC 8259.
type checker struct {
	text  []byte
	plain bool // the text has no control characters
	named int  // index after the name that was read last
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

// shortString is the length in bytes up to which a string is read byte by byte.
const shortString = 16

// str returns the index after the string that starts at the quote at start.
func (c *checker) str(start int) (int, error) {
	at, end := start+1, -1
	// Names and most values are short: a search costs more than to look at each byte.
	for short := min(at+shortString, len(c.text)); at < short; at++ {
		letter := c.text[at]
		if letter == '"' {
			return at + 1, nil
		}
		if letter == '\\' || letter < ' ' {
			break
		}
	}
	for {
		if at > end {
			found := bytes.IndexByte(c.text[at:], '"')
			if found < 0 {
				return wrong(start, "a string does not end")
			}
			end = at + found
		}
		slash := bytes.IndexByte(c.text[at:end], '\\')
		if slash < 0 {
			break
		}
		size := escape(c.text[at+slash:])
		if size == 0 {
			return wrong(at+slash, "an escape in a string is none of JSON's")
		}
		at += slash + size
	}
	if !c.plain {
		for i, letter := range c.text[start+1 : end] {
			if letter < ' ' {
				return wrong(start+1+i, "a control character in a string is not escaped")
			}
		}
	}
	return end + 1, nil
}

// escape returns the length of the escape at the start of text, 0 if it is none. A
// surrogate must have its other half.
func escape(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		switch half := hex4(text[2:]); {
		case half < 0 || half >= 0xdc00 && half < 0xe000:
			return 0
		case half < 0xd800 || half >= 0xe000:
			return 6
		}
		if len(text) > 7 && text[6] == '\\' && text[7] == 'u' {
			if half := hex4(text[8:]); half >= 0xdc00 && half < 0xe000 {
				return 12
			}
		}
	}
	return 0
}

// hex4 reads four hexadecimal digits; -1: they are none.
func hex4(text []byte) (number int) {
	if len(text) < 4 {
		return -1
	}
	for _, c := range text[:4] {
		digit := -1
		switch {
		case c >= '0' && c <= '9':
			digit = int(c - '0')
		case c >= 'a' && c <= 'f':
			digit = int(c-'a') + 10
		case c >= 'A' && c <= 'F':
			digit = int(c-'A') + 10
		}
		if digit < 0 {
			return -1
		}
		number = number<<4 | digit
	}
	return number
}

// literal returns the index after the number, true, false or null at an index.
func (c *checker) literal(at int) (int, error) {
	end := at
	for end < len(c.text) && isLiteral(c.text[end]) {
		end++
	}
	switch word := c.text[at:end]; string(word) {
	case "true", "false", "null":
		return end, nil
	default:
		var number Number
		for _, digit := range word {
			number.Add(digit)
		}
		if !number.Valid() {
			return wrong(at, "a value is expected")
		}
	}
	return end, nil
}
