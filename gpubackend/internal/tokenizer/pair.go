package tokenizer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// pairEncoder is byte-level byte-pair encoding: a splitter cuts the text into
// words, then the merge list joins the bytes of each word, first rule first.
type pairEncoder struct {
	*vocabulary
	splitter  splitter
	wholeWord bool // a word that is a token needs no merging
	rules     map[uint64]rule
}

type rule struct {
	rank int32
	id   int32
}

// newPairEncoder also tells whether models with this splitter start prompts with
// the beginning-of-text token where the file does not say.
func newPairEncoder(file *gguf.File, v *vocabulary) (*pairEncoder, bool, error) {
	const key = "tokenizer.ggml.merges"
	merges, err := file.Texts(key)
	if err != nil {
		return nil, false, err
	}
	name, err := file.Text("tokenizer.ggml.pre")
	if err != nil && !errors.Is(err, gguf.ErrMissing) {
		return nil, false, err
	}
	style, ok := styleOf(name)
	if !ok {
		return nil, false, fmt.Errorf("metadata \"tokenizer.ggml.pre\": %q is not supported", name)
	}
	e := &pairEncoder{
		vocabulary: v, splitter: style.split, wholeWord: style.wholeWord,
		rules: make(map[uint64]rule, len(merges)),
	}
	for i, text := range merges {
		left, right, found := strings.Cut(text, " ")
		if !found || left == "" || right == "" {
			return nil, false, fmt.Errorf("metadata %q: entry %d, %q, is not two tokens with a space between", key, i, text)
		}
		left, right = fromByteLevel(left), fromByteLevel(right)
		// Vocabularies that were cut down keep rules for tokens that are gone.
		leftID, hasLeft := v.ids[left]
		rightID, hasRight := v.ids[right]
		whole, hasWhole := v.ids[left+right]
		if !hasLeft || !hasRight || !hasWhole {
			continue
		}
		pair := pairKey(leftID, rightID)
		if _, twice := e.rules[pair]; !twice {
			e.rules[pair] = rule{rank: int32(i), id: whole}
		}
	}
	return e, style.addStart, nil
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

func (e *pairEncoder) encode(ids []int32, text string, _ bool) []int32 {
	var symbols []symbol
	e.splitter(text, func(word string) {
		if id, ok := e.ids[word]; ok && (e.wholeWord || len(word) == 1) {
			ids = append(ids, id)
			return
		}
		symbols = symbols[:0]
		for i := range len(word) {
			symbols = append(symbols, symbol{start: i, end: i + 1, id: e.bytes[word[i]]})
		}
		merge(symbols, e.join)
		for _, s := range symbols {
			switch {
			case s.start == s.end:
			case s.id >= 0:
				ids = append(ids, s.id)
			default:
				ids = e.appendBytes(ids, word[s.start:s.end])
			}
		}
	})
	return ids
}

func (e *pairEncoder) join(left, right symbol) (int32, float64, bool) {
	found, ok := e.rules[pairKey(left.id, right.id)]
	return found.id, float64(found.rank), ok
}

// Byte-level vocabularies write every byte as a printable character: those that
// print in Latin-1 stand for themselves, the others, in order, are 256 and up.

// byteOfRune returns the byte that a character of the vocabulary stands for.
func byteOfRune(r rune) (byte, bool) {
	if r < 256 {
		return byte(r), printsItself(byte(r))
	}
	switch shifted := r - 256; {
	case shifted < 33: // 0 to 32
		return byte(shifted), true
	case shifted < 67: // 127 to 160
		return byte(shifted - 33 + 127), true
	case shifted == 67:
		return 173, true
	}
	return 0, false
}

func printsItself(b byte) bool {
	return b > 32 && b < 127 || b > 160 && b != 173
}

// fromByteLevel returns the bytes that a token's text in the vocabulary stands
// for. A text with other characters is not byte-level and stands for itself.
func fromByteLevel(text string) string {
	raw := make([]byte, 0, len(text))
	for _, r := range text {
		b, ok := byteOfRune(r)
		if !ok {
			return text
		}
		raw = append(raw, b)
	}
	return string(raw)
}
