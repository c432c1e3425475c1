package jsonscan

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// check reads an object strictly, with what follows it. It skips the values of the
// members, or enters all that can be entered.
func check(text []byte, enter bool) (int, error) {
	cursor := NewCursor(text, false)
	if cursor.Kind() != '{' {
		return 0, ErrSyntax
	}
	walk(&cursor, func() bool { return enter })
	return cursor.Pos, cursor.Err
}

// walk reads a value, and enters it where it is told to. It always enters the first.
func walk(cursor *Cursor, enter func() bool) {
	switch cursor.Kind() {
	case '{':
		cursor.Enter()
		for {
			if _, ok := cursor.Member(); !ok {
				return
			}
			if enter() {
				walk(cursor, enter)
			} else {
				cursor.Skip()
			}
		}
	case '[':
		cursor.Enter()
		for cursor.Element() {
			if enter() {
				walk(cursor, enter)
			} else {
				cursor.Skip()
			}
		}
	default:
		cursor.Skip()
	}
}

func TestWhatIsNoJSONIsRefusedWithItsPlace(t *testing.T) {
	for text, at := range map[string]int{
		"{\"a\":\"x\ny\"}": 7, "{\"a\":\"\x00\"}": 6, "{\"a\tb\":1}": 3, "{\"a\":\"\x1f\"}": 6,
		`{"a":NaN}`: 5, `{"a":Infinity}`: 5, `{"a":-Infinity}`: 5, `{"a":01}`: 5, `{"a":-01}`: 5, `{"a":+1}`: 5, `{"a":.5}`: 5, `{"a":1.}`: 5,
		`{"a":1e}`: 5, `{"a":0x10}`: 5, `{"a":True}`: 5, `{"a":nul}`: 5, `{"a":nulll}`: 5, `{"a":tru e}`: 5, `{"a":1 2}`: 7, `{"a":undefined}`: 5,
		`{"a":"\ud83d"}`: 6, `{"a":"\ude00"}`: 6, `{"a":"\ud83d\u0041"}`: 6, `{"a":"\ud83dx"}`: 6, `{"a":"\ude00\ud83d"}`: 6, `{"\ud83d":1}`: 2,
		`{"a":"\x41"}`: 6, `{"a":"\u00g0"}`: 6, `{"a":"\u12"}`: 6, `{"a":"\'"}`: 6, `{"a":"\"}`: 5, `{"a":"\`: 6,
		`{"a":[1,]}`: 8, `{"a":[,1]}`: 6, `{"a":[1 2]}`: 8, `{"a":{"b":1,}}`: 12, `{"a":{,}}`: 6, `{"a":{"b"}}`: 9, `{"a":{"b":}}`: 10,
		`{"a":{b:1}}`: 6, `{"a":{'b':1}}`: 6, `{"a":[1}}`: 7, `{"a":{"b":1]}`: 11, `{"a":[`: 6, `{"a":{"b":1`: 11, `{"a":1 "b":2}`: 7, `{"a":1,}`: 7,
		`{"a"`: 4, `{"a":`: 5, `{"a":1`: 6, `{`: 1, `{"a":/*c*/1}`: 5, `{"a":[[[]],[{"x":1}],[}]]}`: 22, "{\"a\":1\v}": 6, "{\"a\":1,\u00a0\"b\":2}": 7,
	} {
		for _, enter := range []bool{false, true} {
			_, err := check([]byte(text), enter)
			var mistake *SyntaxError
			if !errors.As(err, &mistake) || mistake.At != at || !errors.Is(err, ErrSyntax) {
				t.Errorf("%q, entered %v: %v, want an error at byte %d", text, enter, err, at)
			}
		}
	}
	for _, enter := range []bool{false, true} {
		for inner, want := range map[int]error{MaxDepth - 1: nil, MaxDepth: ErrDepth} {
			text := `{"a":` + strings.Repeat("[", inner) + strings.Repeat("]", inner) + "}"
			if _, err := check([]byte(text), enter); err != want {
				t.Errorf("nested %d deep, entered %v: %v, want %v", inner+1, enter, err, want)
			}
		}
	}
}

func TestWhatIsJSONIsRead(t *testing.T) {
	for _, text := range []string{
		`{}`, ` { "a" : [ ] , "b" : { } } `, "{\r\n\t\"a\": [1, -0, 0.5, 1e9, -1.25E-3, true, false, null, \"\"]\n}",
		`{"a":"\ud83d\ude00\"\\\/\b\f\n\r\t\u00fc\uFFFF"}`, `{"a":[[],[[]],{"b":[{}]}],"c":{"d":{"e":[1,{"f":2}]}}}`,
		`{"a":"\\"}`, `{"a":"\\\""}`, "{\"ü\":\"\U0001f600\u2028\x7f\"}", `{"a":123456789012345678901234567890e5000}`,
	} {
		for _, enter := range []bool{false, true} {
			if end, err := check([]byte(text), enter); err != nil || SkipSpace([]byte(text), end) != len(text) {
				t.Errorf("%q, entered %v: %v, read up to %d", text, enter, err, end)
			}
		}
	}
}

// FuzzCheck holds the strict scan against encoding/json, which differs from the RFC
// only in lone surrogates and in UTF-8.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{`{"a":[1,{"b":"\ud83d\ude00"}],"c":-0.5e+3}`, "{\"a\":\"\n\"}", `{"a":01}`, `{"a":[{]}}`, "{\n}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if start := SkipSpace(text, 0); start == len(text) || text[start] != '{' {
			return
		}
		end, err := check(text, false)
		if walked, other := check(text, true); err == nil && walked != end || (err == nil) != (other == nil) {
			t.Fatalf("%q: skipped %d, %v; entered %d, %v", text, end, err, walked, other)
		}
		ok := err == nil && SkipSpace(text, end) == len(text)
		if err == ErrDepth {
			return
		}
		if want := json.Valid(text) && utf8.Valid(text) && !loneSurrogate(text); ok != want {
			t.Fatalf("%q: %v, %v, want %v", text, ok, err, want)
		}
	})
}

// loneSurrogate says that a JSON text names half of a letter, which encoding/json turns
// into another.
func loneSurrogate(text []byte) bool {
	const escape = `\\(?:u([0-9a-fA-F]{4})|[^u])`
	high := false
	last := 0
	for _, at := range regexp.MustCompile(escape).FindAllSubmatchIndex(text, -1) {
		if high && at[0] != last {
			return true
		}
		var number uint64
		if at[2] >= 0 {
			number, _ = strconv.ParseUint(string(text[at[2]:at[3]]), 16, 32)
		}
		low := number >= 0xdc00 && number < 0xe000
		if high != low {
			return true
		}
		high, last = number >= 0xd800 && number < 0xdc00, at[1]
	}
	return high
}
