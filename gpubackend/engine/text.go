package engine

import (
	"strings"
	"unicode/utf8"
)

// textAssembler turns the bytes of tokens into text. It never lets out half a
// character, nor text that may turn out to be the beginning of a stop text.
type textAssembler struct {
	stops []string
	bytes []byte // an incomplete character
	held  string // text that may begin a stop text
}

// push adds the bytes of a token. It returns the text that is certain now, and
// whether a stop text was met; what follows that is dropped.
func (a *textAssembler) push(piece []byte) (text string, stopped bool) {
	a.bytes = append(a.bytes, piece...)
	var clean strings.Builder
	clean.WriteString(a.held)
	for len(a.bytes) > 0 && utf8.FullRune(a.bytes) {
		character, size := utf8.DecodeRune(a.bytes)
		clean.WriteRune(character) // U+FFFD for bytes that are no UTF-8
		a.bytes = a.bytes[size:]
	}
	if len(a.bytes) == 0 {
		a.bytes = nil // let go of the consumed array
	}
	return a.release(clean.String())
}

func (a *textAssembler) release(text string) (string, bool) {
	first := len(text)
	for _, stop := range a.stops {
		if at := strings.Index(text, stop); at >= 0 && at < first {
			first = at
		}
	}
	if first < len(text) {
		a.held, a.bytes = "", nil
		return text[:first], true
	}
	keep := 0
	for _, stop := range a.stops {
		keep = max(keep, overlap(text, stop))
	}
	a.held = text[len(text)-keep:]
	return text[:len(text)-keep], false
}

// flush returns what was held back, at the end of the generation.
func (a *textAssembler) flush() string {
	text := a.held
	if len(a.bytes) > 0 {
		text += string(utf8.RuneError)
	}
	a.held, a.bytes = "", nil
	return text
}

// overlap is the length of the longest end of text that begins stop, short of
// the whole stop.
func overlap(text, stop string) int {
	for size := min(len(text), len(stop)-1); size > 0; size-- {
		if strings.HasPrefix(stop, text[len(text)-size:]) {
			return size
		}
	}
	return 0
}
