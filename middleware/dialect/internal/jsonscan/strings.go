package jsonscan

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"unicode/utf8"
)

// ErrUTF8 says that a text is not UTF-8.
var ErrUTF8 = errors.New("the body is not valid UTF-8")

// A string is read eight bytes at once, as one number, and several such at once where
// it is long.
const (
	ones    = 0x0101010101010101
	highest = 0x80 * ones // the highest bit of each byte
	slants  = '\\' * ones
)

// special has the highest bit set in the first byte that is a quote, a backslash, a
// control character or beyond ASCII. No byte has it if there is none; behind the first,
// others may be marked that are none of these.
//
// Of the bytes of ASCII, those below 0x21 once their second bit is turned are the control
// characters and the quote.
func special(word uint64) uint64 {
	return word | ((word ^ 0x02*ones) - 0x21*ones) | ((word ^ slants) - ones)
}

// plainEnd returns the index of the first special byte from an index on, or one of the
// last bytes of the text.
func plainEnd(text []byte, at int) int {
	if at+8 <= len(text) { // names are short
		if found := special(binary.LittleEndian.Uint64(text[at:])) & highest; found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
		at += 8
	}
	for ; at+32 <= len(text); at += 32 {
		block := text[at : at+32 : at+32]
		one, two := special(binary.LittleEndian.Uint64(block)), special(binary.LittleEndian.Uint64(block[8:]))
		three, four := special(binary.LittleEndian.Uint64(block[16:])), special(binary.LittleEndian.Uint64(block[24:]))
		if (one|two|three|four)&highest == 0 {
			continue
		}
		switch {
		case one&highest != 0:
			return at + bits.TrailingZeros64(one&highest)/8
		case two&highest != 0:
			return at + 8 + bits.TrailingZeros64(two&highest)/8
		case three&highest != 0:
			return at + 16 + bits.TrailingZeros64(three&highest)/8
		}
		return at + 24 + bits.TrailingZeros64(four&highest)/8
	}
	for ; at+8 <= len(text); at += 8 {
		if found := special(binary.LittleEndian.Uint64(text[at:])) & highest; found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
	}
	return at
}

// str returns the index after the string that starts at the quote at start.
func (c *checker) str(start int) (int, error) {
	text, at := c.text, start+1
	for {
		at = plainEnd(text, at)
		for at < len(text) && !stops[text[at]] { // the last bytes of the text
			at++
		}
		if at == len(text) {
			return wrong(start, "a string does not end")
		}
		switch letter := text[at]; {
		case letter == '"':
			return at + 1, nil
		case letter == '\\' && at+2 < len(text) && escaped[text[at+1]] && text[at+2] != '\\':
			at += 2 // the most frequent of all
		case letter == '\\':
			end := escapes(text, at)
			if end < 0 {
				return wrong(-end, "an escape in a string is none of JSON's")
			}
			at = end
		case letter < ' ':
			return wrong(at, "a control character in a string is not escaped")
		default:
			if at = beyondASCII(text, at); at < 0 {
				return 0, ErrUTF8
			}
		}
	}
}

// stops are the bytes that special marks.
var stops = func() (set [256]bool) {
	for c := range set {
		set[c] = c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf
	}
	return set
}()

// escaped are the letters that may follow a backslash, but for the u of a number.
var escaped = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// escapes returns the index after the escapes that begin at an index: texts in other
// scripts, and texts within texts, have many in a row. Of one that is none it returns
// the index, negated.
func escapes(text []byte, at int) int {
	const every2nd, backslashes = 0x00ff00ff00ff00ff, 0x005c005c005c005c
	for at+8 <= len(text) {
		word := binary.LittleEndian.Uint64(text[at:])
		if word&every2nd != backslashes || !(escaped[byte(word>>8)] && escaped[byte(word>>24)] && escaped[byte(word>>40)] && escaped[byte(word>>56)]) {
			break
		}
		at += 8
	}
	for at < len(text) && text[at] == '\\' {
		size := escape(text[at:])
		if size == 0 {
			return -at
		}
		at += size
	}
	return at
}

// escape returns the length of the escape at the start of text, 0 if it is none. A
// surrogate must have its other half.
func escape(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	if escaped[text[1]] {
		return 2
	}
	if text[1] != 'u' {
		return 0
	}
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
	return 0
}

// digits are the values of hexadecimal digits, and negative for other bytes.
var digits = func() (values [256]int16) {
	for c := range values {
		values[c] = -1
	}
	for i := range int16(10) {
		values['0'+i] = i
	}
	for i := range int16(6) {
		values['a'+i], values['A'+i] = 10+i, 10+i
	}
	return values
}()

// hex4 reads four hexadecimal digits; negative: they are none.
func hex4(text []byte) int {
	if len(text) < 4 {
		return -1
	}
	a, b, c, d := int(digits[text[0]]), int(digits[text[1]]), int(digits[text[2]]), int(digits[text[3]])
	if a|b|c|d < 0 {
		return -1
	}
	return a<<12 | b<<8 | c<<4 | d
}

// beyondASCII returns the index after the letters beyond ASCII that begin at an index,
// and a negative number if they are not UTF-8.
func beyondASCII(text []byte, at int) int {
	for at < len(text) && text[at] >= utf8.RuneSelf {
		// Most scripts have letters of two bytes, or of three from U+1000 on.
		switch lead := text[at]; {
		case lead >= 0xc2 && lead < 0xe0 && at+1 < len(text) && text[at+1]&0xc0 == 0x80:
			at += 2
		case lead > 0xe0 && lead < 0xed && at+2 < len(text) && text[at+1]&0xc0 == 0x80 && text[at+2]&0xc0 == 0x80:
			at += 3
		default:
			letter, size := utf8.DecodeRune(text[at:])
			if letter == utf8.RuneError && size == 1 {
				return -1
			}
			at += size
		}
	}
	return at
}
