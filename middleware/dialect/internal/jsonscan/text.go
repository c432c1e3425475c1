package jsonscan

import (
	"bytes"
	"encoding/json"
	"math/bits"
	"unicode/utf8"
)

// UnescapeName returns a member's name as a parser reads it.
func UnescapeName(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	return Unquote(append(append([]byte{'"'}, raw...), '"'))
}

// Unquote returns the text of a JSON string with its quotes; an invalid escape
// gives the empty string.
func Unquote(raw []byte) string {
	if len(raw) >= 2 && bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// Quote returns text as a JSON string.
func Quote(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil { // a string always has a JSON form
		panic(err)
	}
	return quoted
}

// Unusual says that a name can be read in two ways: parsers that match names
// without case (Go's among them) may take it for another one.
func Unusual(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf || c == '\\' || c >= 'A' && c <= 'Z' {
			return true
		}
	}
	return false
}

// IsNull says that a value is null.
func IsNull(value []byte) bool { return string(value) == "null" }

// ParseInteger reads a JSON number that is a whole number. ok is false for
// everything else, larger ones than an int64 included.
func ParseInteger(value []byte) (number int64, ok bool) {
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
