package jsonscan

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// check reads an object strictly, with what follows it. It skips the values of the
// members, or enters all that can be entered.
func check(text []byte, enter bool) (int, error) {
	_, plain := Valid(text)
	cursor := NewCursor(text, plain, false)
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
		`{"a":"\x41"}`: 6, `{"a":"\u00g0"}`: 6, `{"a":"\u12"}`: 6, `{"a":"\'"}`: 6, `{"a":"\"}`: 5, `{"a":"\`: 5,
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

func TestPlainTextsAreKnown(t *testing.T) {
	for _, size := range []int{0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 100} {
		text := []byte(strings.Repeat("x", size))
		if valid, plain := Valid(text); !valid || !plain {
			t.Errorf("%d letters: %v %v", size, valid, plain)
		}
		for at := range text {
			for _, c := range []byte{0, '\n', 0x1f, ' ', 0x7f, 0x80, 0xff} {
				text[at] = c
				if valid, plain := Valid(text); valid != utf8.Valid(text) || plain != (c >= ' ') {
					t.Errorf("%#x at %d of %d: %v %v", c, at, size, valid, plain)
				}
			}
			text[at] = 'x'
		}
	}
	if valid, plain := Valid([]byte("0123456789abcdefäöü\u2028 0123456789abcdef")); !valid || !plain {
		t.Error("letters beyond ASCII are not plain")
	}
}

// FuzzCheck holds the strict scan against encoding/json, which differs from the RFC
// only in lone surrogates and in UTF-8.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{`{"a":[1,{"b":"\ud83d\ude00"}],"c":-0.5e+3}`, "{\"a\":\"\n\"}", `{"a":01}`, `{"a":[{]}}`, "{\n}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		valid, _ := Valid(text)
		if valid != utf8.Valid(text) {
			t.Fatalf("%q: valid UTF-8 %v", text, valid)
		}
		if start := SkipSpace(text, 0); !valid || start == len(text) || text[start] != '{' {
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
		if lone := strings.Contains(strings.ToLower(string(text)), `\ud`); ok != json.Valid(text) && !(lone && !ok) {
			t.Fatalf("%q: %v, %v; encoding/json says %v", text, ok, err, json.Valid(text))
		}
	})
}
