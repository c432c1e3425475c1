package jsonscan

import (
	"bytes"
	"encoding/json"
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

// ParseInteger reads a JSON number that is a whole number, however it is written: 65,
// 65.0 and 6.5e1 are the same. ok is false for everything else, larger ones than an
// int64 included.
func ParseInteger(value []byte) (number int64, ok bool) {
	var read Number
	for _, c := range value {
		read.Add(c)
	}
	return read.Whole()
}
