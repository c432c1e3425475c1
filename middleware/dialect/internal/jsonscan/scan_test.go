package jsonscan

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestObjectGivesEachMemberWhereItStands(t *testing.T) {
	text := []byte(` { "a" : 1 ,"b\"":[{"c":"}"},"]"], "d":"x\\" } tail`)
	want := [][2]string{{`a`, `1`}, {`b\"`, `[{"c":"}"},"]"]`}, {`d`, `"x\\"`}}
	scanner := ScanObject(text, 0)
	for _, member := range want {
		name, value, ok := scanner.Next()
		if !ok || string(name) != member[0] || string(value.Of(text)) != member[1] {
			t.Fatalf("got %q %q %v, want %q", name, value.Of(text), ok, member)
		}
	}
	if _, _, ok := scanner.Next(); ok || scanner.Err != nil || string(text[scanner.Pos:]) != " tail" {
		t.Errorf("%v %v, %q is left", ok, scanner.Err, text[scanner.Pos:])
	}
}

func TestArrayGivesEachElement(t *testing.T) {
	text := []byte(`[1, "a,b" ,[2],{} ]`)
	scanner := ScanArray(text, 0)
	for _, want := range []string{`1`, `"a,b"`, `[2]`, `{}`} {
		if value, ok := scanner.Next(); !ok || string(value.Of(text)) != want {
			t.Fatalf("got %q, want %q", value.Of(text), want)
		}
	}
	if _, ok := scanner.Next(); ok || scanner.Err != nil {
		t.Errorf("%v %v", ok, scanner.Err)
	}
}

func TestBrokenTextsAreRefused(t *testing.T) {
	for text, want := range map[string]error{
		`[]`: ErrSyntax, `{`: ErrSyntax, `{"a"}`: ErrSyntax, `{"a":}`: ErrSyntax, `{"a":1 "b":2}`: ErrSyntax,
		`{"a":[}]}`: ErrSyntax, `{"a":"\"}`: ErrSyntax, `{,"a":1}`: ErrSyntax,
		`{"a":` + strings.Repeat("[", MaxDepth+1): ErrDepth,
	} {
		scanner := ScanObject([]byte(text), 0)
		for ok := true; ok; {
			_, _, ok = scanner.Next()
		}
		if scanner.Err != want {
			t.Errorf("%.40s: %v, want %v", text, scanner.Err, want)
		}
	}
}

// FuzzObject holds the scanner against encoding/json: it finds the members of each
// object that the standard library accepts.
func FuzzObject(f *testing.F) {
	for _, text := range []string{`{"a":1,"b":{"c":[1,"]"]}}`, "\n{ \"\" : \"\\\\\" }", `{"a":"\ud83d"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var members map[string]json.RawMessage
		valid := json.Unmarshal(text, &members) == nil && members != nil
		scanner := ScanObject(text, 0)
		found := map[string]string{}
		for {
			name, value, ok := scanner.Next()
			if !ok {
				break
			}
			found[UnescapeName(name)] = string(value.Of(text))
		}
		if !valid || !utf8.Valid(text) || scanner.Err == ErrDepth {
			return
		}
		if scanner.Err != nil || len(found) != len(members) {
			t.Fatalf("%v, %d members of %d in %q", scanner.Err, len(found), len(members), text)
		}
		for name, value := range members {
			if found[name] != string(value) {
				t.Fatalf("%q is %q, want %q in %q", name, found[name], value, text)
			}
		}
	})
}
