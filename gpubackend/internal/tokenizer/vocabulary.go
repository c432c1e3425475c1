package tokenizer

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// Kinds of tokens, from the format.
const (
	normalToken  = 1
	unknownToken = 2
	controlToken = 3
	userToken    = 4
	byteToken    = 6
)

// vocabulary is what both kinds of tokenizer share.
type vocabulary struct {
	pieces  [][]byte         // what each token stands for, nil for none
	ids     map[string]int32 // by piece, plain tokens only
	special map[string]int32 // by text: control and user-defined tokens
	byUser  map[int32]bool   // those of special that are user-defined
	bytes   [256]int32       // the token of each byte, -1 for none
	unknown int32            // stands for what has no token, -1 for none
	// openings lists the special texts by their first byte, longest first; plain
	// lists those of them that count in plain text too, the user-defined ones.
	openings, plain [256][]string
}

func readVocabulary(file *gguf.File, byteLevel bool) (*vocabulary, error) {
	const key = "tokenizer.ggml.tokens"
	texts, err := file.Texts(key)
	if err != nil {
		return nil, err
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("metadata %q: is empty", key)
	}
	kinds, err := readKinds(file, len(texts))
	if err != nil {
		return nil, err
	}
	v := &vocabulary{
		pieces:  make([][]byte, len(texts)),
		ids:     make(map[string]int32, len(texts)),
		special: make(map[string]int32),
		byUser:  make(map[int32]bool),
		unknown: -1,
	}
	for i := range v.bytes {
		v.bytes[i] = -1
	}
	for i, text := range texts {
		v.add(int32(i), text, kinds[i], byteLevel)
	}
	if byteLevel {
		for i := range v.bytes {
			if id, ok := v.ids[string([]byte{byte(i)})]; ok {
				v.bytes[i] = id
			}
		}
	}
	v.index()
	return v, nil
}

func readKinds(file *gguf.File, count int) ([]int64, error) {
	const key = "tokenizer.ggml.token_type"
	kinds, err := file.Ints(key)
	if errors.Is(err, gguf.ErrMissing) {
		kinds = make([]int64, count)
		for i := range kinds {
			kinds[i] = normalToken
		}
		return kinds, nil
	}
	if err == nil && len(kinds) != count {
		err = fmt.Errorf("metadata %q: %d entries for %d tokens", key, len(kinds), count)
	}
	return kinds, err
}

func (v *vocabulary) add(id int32, text string, kind int64, byteLevel bool) {
	switch kind {
	case controlToken, userToken:
		if _, twice := v.special[text]; !twice && text != "" {
			v.special[text] = id
		}
		if kind == userToken {
			v.byUser[id] = true
			v.pieces[id] = []byte(text)
		}
		return
	case unknownToken:
		v.unknown = id
		return
	case byteToken:
		var b byte
		if _, err := fmt.Sscanf(text, "<0x%02X>", &b); err == nil {
			v.bytes[b] = id
			v.pieces[id] = []byte{b}
		}
		return
	}
	piece := strings.ReplaceAll(text, spaceMark, " ")
	if byteLevel {
		piece = fromByteLevel(text)
	}
	v.pieces[id] = []byte(piece)
	if _, twice := v.ids[piece]; !twice && kind == normalToken {
		v.ids[piece] = id
	}
}

// index files the special texts under their first bytes.
func (v *vocabulary) index() {
	for text := range v.special {
		v.openings[text[0]] = append(v.openings[text[0]], text)
	}
	for first, texts := range v.openings {
		sort.Slice(texts, func(a, b int) bool {
			if len(texts[a]) != len(texts[b]) {
				return len(texts[a]) > len(texts[b])
			}
			return texts[a] < texts[b]
		})
		for _, text := range texts {
			if v.byUser[v.special[text]] {
				v.plain[first] = append(v.plain[first], text)
			}
		}
	}
}

// fragment is a special token, or a text if that is not empty.
type fragment struct {
	text string
	id   int32
}

// split cuts text at special tokens: all of them, or only the user-defined ones.
// The leftmost match wins, and of several there the longest.
func (v *vocabulary) split(fragments []fragment, text string, control bool) []fragment {
	start, openings := 0, &v.plain
	if control {
		openings = &v.openings
	}
	for i := 0; i < len(text); {
		match := matchAt(text[i:], openings)
		if match == "" {
			i++
			continue
		}
		fragments = appendText(fragments, text[start:i])
		fragments = append(fragments, fragment{id: v.special[match]})
		i += len(match)
		start = i
	}
	return appendText(fragments, text[start:])
}

func matchAt(text string, openings *[256][]string) string {
	for _, candidate := range openings[text[0]] {
		if strings.HasPrefix(text, candidate) {
			return candidate
		}
	}
	return ""
}

// appendText adds text, joined with a text that ends the list, so that the
// encoder sees one run of text whatever it was put together from.
func appendText(fragments []fragment, text string) []fragment {
	if text == "" {
		return fragments
	}
	if last := len(fragments) - 1; last >= 0 && fragments[last].text != "" {
		fragments[last].text += text
		return fragments
	}
	return append(fragments, fragment{text: text})
}
