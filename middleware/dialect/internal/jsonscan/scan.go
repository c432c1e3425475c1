// Package jsonscan walks over JSON text without building anything from it. It finds
// where members and elements stand, so that a body can be read and edited in place.
//
// An [Object] and an [Array] check strings, brackets and separators and leave the rest
// to others. A [Cursor] refuses all that RFC 8259 does, unless it is a lenient one.
package jsonscan

import (
	"bytes"
	"errors"
)

// MaxDepth bounds the nesting of a request. Tool schemas stay far below it, and
// upstreams written in Python fail at about eight times as much.
const MaxDepth = 128

// What may be wrong with a text.
var (
	ErrSyntax = errors.New("the body is not valid JSON")
	ErrDepth  = errors.New("the body is nested too deeply")
)

// Span is a part of a text.
type Span struct{ Start, End int }

// Of returns the part of text that the span covers.
func (s Span) Of(text []byte) []byte { return text[s.Start:s.End] }

// Object walks over the members of one object without building anything.
type Object struct {
	text  []byte
	Pos   int // after the opening brace, later after the last value
	Err   error
	first bool
}

// ScanObject starts at the object that begins at start, white space skipped.
func ScanObject(text []byte, start int) Object {
	start = SkipSpace(text, start)
	if start >= len(text) || text[start] != '{' {
		return Object{Err: ErrSyntax}
	}
	return Object{text: text, Pos: start + 1, first: true}
}

// Next returns the next member's raw name (without quotes, escapes untouched)
// and its value. At the end or at an error it returns false; Pos then stands
// after the closing brace.
func (s *Object) Next() (name []byte, value Span, ok bool) {
	if s.Err != nil {
		return nil, Span{}, false
	}
	at := SkipSpace(s.text, s.Pos)
	if at < len(s.text) && s.text[at] == '}' {
		s.Pos = at + 1
		return nil, Span{}, false
	}
	if !s.first {
		if at >= len(s.text) || s.text[at] != ',' {
			return s.fail(ErrSyntax)
		}
		at = SkipSpace(s.text, at+1)
	}
	s.first = false
	if at >= len(s.text) || s.text[at] != '"' {
		return s.fail(ErrSyntax)
	}
	end := SkipString(s.text, at)
	if end < 0 {
		return s.fail(ErrSyntax)
	}
	name = s.text[at+1 : end-1]
	at = SkipSpace(s.text, end)
	if at >= len(s.text) || s.text[at] != ':' {
		return s.fail(ErrSyntax)
	}
	at = SkipSpace(s.text, at+1)
	end, err := SkipValue(s.text, at)
	if err != nil {
		return s.fail(err)
	}
	s.Pos = end
	return name, Span{at, end}, true
}

func (s *Object) fail(err error) ([]byte, Span, bool) {
	s.Err = err
	return nil, Span{}, false
}

// SkipSpace returns the index of the first byte from at on that is not white space.
func SkipSpace(text []byte, at int) int {
	if at < len(text) && text[at] > ' ' {
		return at // most texts have hardly any
	}
	return skipSpaces(text, at)
}

func skipSpaces(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// SkipString returns the index after the string that starts at the quote at
// start, or -1 if it does not end.
func SkipString(text []byte, start int) int {
	at := start + 1
	for {
		found := bytes.IndexByte(text[at:], '"')
		if found < 0 {
			return -1
		}
		end := at + found
		slashes := 0
		for end-slashes > at && text[end-slashes-1] == '\\' {
			slashes++
		}
		at = end + 1
		if slashes&1 == 0 {
			return at
		}
	}
}

// SkipValue returns the index after the value that starts at start.
func SkipValue(text []byte, start int) (int, error) {
	if start >= len(text) {
		return 0, ErrSyntax
	}
	switch text[start] {
	case '"':
		if end := SkipString(text, start); end >= 0 {
			return end, nil
		}
		return 0, ErrSyntax
	case '{', '[':
		return SkipContainer(text, start)
	}
	end := start
	for end < len(text) && isLiteral(text[end]) {
		end++
	}
	if end == start {
		return 0, ErrSyntax
	}
	return end, nil
}

func isLiteral(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.'
}

// Structural says whether a byte begins or ends a string, an object or an array:
// those are all that a search for the end of a value has to look at.
func Structural(c byte) bool { return structural[c] }

var structural = [256]bool{'"': true, '{': true, '}': true, '[': true, ']': true}

// SkipContainer returns the index after the object or array that starts at start.
// It keeps the kind of each open bracket in a bit set, so that
// mismatched brackets are refused and not read differently than elsewhere.
func SkipContainer(text []byte, start int) (int, error) {
	var open [MaxDepth / 64]uint64 // bit set: an object
	depth := 0
	for at := start; at < len(text); at++ {
		c := text[at]
		if !structural[c] {
			continue
		}
		switch c {
		case '"':
			end := SkipString(text, at)
			if end < 0 {
				return 0, ErrSyntax
			}
			at = end - 1
		case '{', '[':
			if depth == MaxDepth-1 {
				return 0, ErrDepth
			}
			depth++
			word, bit := depth/64, uint64(1)<<(depth%64)
			open[word] &^= bit
			if c == '{' {
				open[word] |= bit
			}
		default:
			word, bit := depth/64, uint64(1)<<(depth%64)
			if (open[word]&bit != 0) != (c == '}') {
				return 0, ErrSyntax
			}
			if depth--; depth == 0 {
				return at + 1, nil
			}
		}
	}
	return 0, ErrSyntax
}

// Array walks over the elements of one array.
type Array struct {
	text  []byte
	Pos   int // after the opening bracket, later after the last element
	Err   error
	first bool
}

// ScanArray starts at the array that begins at start.
func ScanArray(text []byte, start int) Array {
	if start >= len(text) || text[start] != '[' {
		return Array{Err: ErrSyntax}
	}
	return Array{text: text, Pos: start + 1, first: true}
}

// Next returns the next element. At the end or at an error it returns false.
func (s *Array) Next() (Span, bool) {
	if s.Err != nil {
		return Span{}, false
	}
	at := SkipSpace(s.text, s.Pos)
	if at < len(s.text) && s.text[at] == ']' {
		s.Pos = at + 1
		return Span{}, false
	}
	if !s.first {
		if at >= len(s.text) || s.text[at] != ',' {
			s.Err = ErrSyntax
			return Span{}, false
		}
		at = SkipSpace(s.text, at+1)
	}
	s.first = false
	end, err := SkipValue(s.text, at)
	if err != nil {
		s.Err = err
		return Span{}, false
	}
	s.Pos = end
	return Span{at, end}, true
}
