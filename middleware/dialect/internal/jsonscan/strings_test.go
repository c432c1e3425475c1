package jsonscan

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAStringEndsAtItsQuoteWhereverThatStands(t *testing.T) {
	for size := range 80 {
		for _, tail := range []int{0, 1, 7, 8, 31, 40} {
			text := []byte(`"` + strings.Repeat("x", size) + `"` + strings.Repeat(" ", tail))
			c := checker{text: text}
			if end, err := c.str(0); err != nil || end != size+2 {
				t.Fatalf("%d letters and %d after them: %d, %v", size, tail, end, err)
			}
			for at := 1; at <= size; at++ {
				for letter, valid := range map[byte]bool{0: false, '\n': false, 0x1f: false, ' ': true, '!': true, '#': true, 0x7f: true, 0x80: false, 0xc3: false, 0xff: false} {
					text[at] = letter
					if end, err := c.str(0); (err == nil) != valid || valid && end != size+2 {
						t.Fatalf("%#x at %d of %d: %d, %v", letter, at, size, end, err)
					}
				}
				text[at] = 'x'
			}
		}
	}
}

func TestStringsAreUTF8(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	letters := []rune("aé\u07ff\u0800ࠀက\ucfff\ud7ff\ue000\uffff\U00010000\U0010ffff漢")
	for range 200_000 {
		var body bytes.Buffer
		body.WriteByte('"')
		for range random.IntN(20) {
			body.WriteRune(letters[random.IntN(len(letters))])
		}
		body.WriteByte('"')
		text := body.Bytes()
		if len(text) > 2 && random.IntN(2) == 0 {
			text[1+random.IntN(len(text)-2)] = byte(0x80 + random.IntN(0x80))
		}
		c := checker{text: text}
		end, err := c.str(0)
		if valid := utf8.Valid(text); (err == nil) != valid || valid && end != len(text) || !valid && err != ErrUTF8 {
			t.Fatalf("%q: %d, %v", text, end, err)
		}
	}
}

func TestEscapesInARow(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	units := []string{`\"`, `\\`, `\/`, `\n`, `\u00e9`, `\uD83D\uDE00`, "x", "漢"}
	for range 100_000 {
		var body strings.Builder
		for range random.IntN(20) {
			unit := units[random.IntN(len(units))]
			body.WriteString(strings.Repeat(unit, 1+random.IntN(6)))
		}
		text := []byte(`"` + body.String() + `" `)
		c := checker{text: text}
		if end, err := c.str(0); err != nil || end != len(text)-1 {
			t.Fatalf("%s: %d, %v", text, end, err)
		}
		if at := bytes.LastIndexByte(text, '\\'); at >= 0 {
			text[at+1] = 'x'
			if end, err := c.str(0); err == nil && text[at-1] != '\\' {
				t.Fatalf("%s: %d", text, end)
			}
		}
	}
}
