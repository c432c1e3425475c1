package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/bits"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a request. Tool schemas stay far below it, and
// upstreams written in Python fail at about eight times as much.
const maxDepth = 128

var (
	errSyntax = errors.New("the body is not valid JSON")
	errDepth  = errors.New("the body is nested too deeply")
)

// span is a part of a text.
type span struct{ start, end int }

func (s span) of(text []byte) []byte { return text[s.start:s.end] }

// objectScanner walks over the members of one object without building anything.
// It checks strings, brackets and separators and leaves the rest to the
// upstream's parser: a text that it accepts and a parser refuses costs nothing.
type objectScanner struct {
	text  []byte
	pos   int // after the opening brace, later after the last value
	err   error
	first bool
}

// scanObject starts at the object that begins at start, white space skipped.
func scanObject(text []byte, start int) objectScanner {
	start = skipSpace(text, start)
	if start >= len(text) || text[start] != '{' {
		return objectScanner{err: errSyntax}
	}
	return objectScanner{text: text, pos: start + 1, first: true}
}

// next returns the next member's raw name (without quotes, escapes untouched)
// and its value. At the end or at an error it returns false; pos then stands
// after the closing brace.
func (s *objectScanner) next() (name []byte, value span, ok bool) {
	if s.err != nil {
		return nil, span{}, false
	}
	at := skipSpace(s.text, s.pos)
	if at < len(s.text) && s.text[at] == '}' {
		s.pos = at + 1
		return nil, span{}, false
	}
	if !s.first {
		if at >= len(s.text) || s.text[at] != ',' {
			return s.fail(errSyntax)
		}
		at = skipSpace(s.text, at+1)
	}
	s.first = false
	if at >= len(s.text) || s.text[at] != '"' {
		return s.fail(errSyntax)
	}
	end := skipString(s.text, at)
	if end < 0 {
		return s.fail(errSyntax)
	}
	name = s.text[at+1 : end-1]
	at = skipSpace(s.text, end)
	if at >= len(s.text) || s.text[at] != ':' {
		return s.fail(errSyntax)
	}
	at = skipSpace(s.text, at+1)
	end, err := skipValue(s.text, at)
	if err != nil {
		return s.fail(err)
	}
	s.pos = end
	return name, span{at, end}, true
}

func (s *objectScanner) fail(err error) ([]byte, span, bool) {
	s.err = err
	return nil, span{}, false
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t') {
		at++
	}
	return at
}

// skipString returns the index after the string that starts at the quote at
// start, or -1 if it does not end.
func skipString(text []byte, start int) int {
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

// skipValue returns the index after the value that starts at start.
func skipValue(text []byte, start int) (int, error) {
	if start >= len(text) {
		return 0, errSyntax
	}
	switch text[start] {
	case '"':
		if end := skipString(text, start); end >= 0 {
			return end, nil
		}
		return 0, errSyntax
	case '{', '[':
		return skipContainer(text, start)
	}
	end := start
	for end < len(text) && isLiteral(text[end]) {
		end++
	}
	if end == start {
		return 0, errSyntax
	}
	return end, nil
}

func isLiteral(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '+' || c == '.'
}

// structural marks the bytes that skipContainer has to look at.
var structural = [256]bool{'"': true, '{': true, '}': true, '[': true, ']': true}

// skipContainer keeps the kind of each open bracket in a bit set, so that
// mismatched brackets are refused and not read differently than elsewhere.
func skipContainer(text []byte, start int) (int, error) {
	var open [maxDepth / 64]uint64 // bit set: an object
	depth := 0
	for at := start; at < len(text); at++ {
		c := text[at]
		if !structural[c] {
			continue
		}
		switch c {
		case '"':
			end := skipString(text, at)
			if end < 0 {
				return 0, errSyntax
			}
			at = end - 1
		case '{', '[':
			if depth == maxDepth-1 {
				return 0, errDepth
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
				return 0, errSyntax
			}
			if depth--; depth == 0 {
				return at + 1, nil
			}
		}
	}
	return 0, errSyntax
}

// arrayScanner walks over the elements of one array.
type arrayScanner struct {
	text  []byte
	pos   int
	err   error
	first bool
}

func scanArray(text []byte, start int) arrayScanner {
	if start >= len(text) || text[start] != '[' {
		return arrayScanner{err: errSyntax}
	}
	return arrayScanner{text: text, pos: start + 1, first: true}
}

func (s *arrayScanner) next() (span, bool) {
	if s.err != nil {
		return span{}, false
	}
	at := skipSpace(s.text, s.pos)
	if at < len(s.text) && s.text[at] == ']' {
		s.pos = at + 1
		return span{}, false
	}
	if !s.first {
		if at >= len(s.text) || s.text[at] != ',' {
			s.err = errSyntax
			return span{}, false
		}
		at = skipSpace(s.text, at+1)
	}
	s.first = false
	end, err := skipValue(s.text, at)
	if err != nil {
		s.err = err
		return span{}, false
	}
	s.pos = end
	return span{at, end}, true
}

// unescapeName returns a member's name as a parser reads it.
func unescapeName(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	return unquote(append(append([]byte{'"'}, raw...), '"'))
}

// unquote returns the text of a JSON string with its quotes; an invalid escape
// gives the empty string.
func unquote(raw []byte) string {
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// quote returns text as a JSON string.
func quote(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil { // a string always has a JSON form
		panic(err)
	}
	return quoted
}

// unusual says that a name can be read in two ways: parsers that match names
// without case (Go's among them) may take it for another one.
func unusual(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf || c == '\\' || c >= 'A' && c <= 'Z' {
			return true
		}
	}
	return false
}

func isNull(value []byte) bool { return string(value) == "null" }

// parseInteger reads a JSON number that is a whole number. ok is false for
// everything else, larger ones than an int64 included.
func parseInteger(value []byte) (number int64, ok bool) {
	negative := len(value) > 0 && value[0] == '-'
	digits := value
	if negative {
		digits = value[1:]
	}
	if len(digits) == 0 || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	var sum uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		high, low := bits.Mul64(sum, 10)
		sum = low + uint64(c-'0')
		if high != 0 || sum < low || sum > 1<<63-1 {
			return 0, false
		}
	}
	if negative {
		return -int64(sum), true
	}
	return int64(sum), true
}

// unescapeSegment unescapes one path segment; more than one is refused, and so is
// what is too long to name a model.
func unescapeSegment(escaped string) (string, bool) {
	if escaped == "" || strings.Contains(escaped, "/") {
		return "", false
	}
	segment, err := url.PathUnescape(escaped)
	return segment, err == nil && segment != "" && len(segment) <= maxModelName && utf8.ValidString(segment)
}
