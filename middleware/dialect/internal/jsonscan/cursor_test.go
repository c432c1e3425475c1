package jsonscan

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestACursorSaysWhereValuesStand(t *testing.T) {
	text := ` { "a" : [ 1 , {"b":"]"} ] ,"c\n":{}, "d":[],"e":"x" } tail`
	for _, lenient := range []bool{false, true} {
		cursor := NewCursor([]byte(text), lenient)
		var seen []string
		cursor.Enter()
		for {
			name, ok := cursor.Member()
			if !ok {
				break
			}
			if string(name) != "a" {
				kind := cursor.Kind()
				seen = append(seen, fmt.Sprintf("%s %c %s", name, kind, cursor.Skip().Of([]byte(text))))
				continue
			}
			for cursor.Enter(); cursor.Element(); {
				seen = append(seen, string(cursor.Skip().Of([]byte(text))))
			}
		}
		want := `1|{"b":"]"}|c\n { {}|d [ []|e " "x"`
		if got := strings.Join(seen, "|"); got != want || cursor.Err != nil || text[cursor.Pos:] != " tail" {
			t.Errorf("lenient %v: %s, %v, %q is left", lenient, got, cursor.Err, text[cursor.Pos:])
		}
	}
}

func TestALenientCursorChecksWhatItNeeds(t *testing.T) {
	for text, valid := range map[string]bool{
		"{\"a\":\"\n\"}": true, `{"a":NaN}`: true, `{"a":[01]}`: true,
		`{"a":1 "b":2}`: false, `{"a"}`: false, `{"a":"x}`: false, `{"a":[}`: false, `{"a":[1}`: false, `{"a":}`: false, `{a:1}`: false, `{`: false,
	} {
		cursor := NewCursor([]byte(text), true)
		walk(&cursor, func() bool { return true })
		if (cursor.Err == nil) != valid {
			t.Errorf("%q: %v", text, cursor.Err)
		}
	}
}

// However a text is walked, it is read to the same place with the same error.
func FuzzCursor(f *testing.F) {
	for _, text := range []string{`{"a":[1,{"b":["x",[]]}],"c":-0.5e+3}`, `{"a":[1,{]}`, `[{},{"a":{}}]`} {
		f.Add([]byte(text), uint64(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		for _, lenient := range []bool{false, true} {
			whole := NewCursor(text, lenient)
			whole.Skip()
			random := rand.New(rand.NewPCG(seed, 0))
			part := NewCursor(text, lenient)
			walk(&part, func() bool { return random.IntN(2) == 0 })
			if (whole.Err == nil) != (part.Err == nil) && !lenient || whole.Err == nil && whole.Pos != part.Pos && part.Err == nil {
				t.Fatalf("%q, lenient %v: %d, %v at once; %d, %v in parts", text, lenient, whole.Pos, whole.Err, part.Pos, part.Err)
			}
			if part.Err != nil && (part.Kind() != 0 || part.Skip() != Span{} || part.Element()) {
				t.Fatal("a cursor goes on after an error")
			}
		}
	})
}
