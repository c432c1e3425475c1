package tokenizer

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// spaceMark stands for a space in the vocabulary of SentencePiece models.
const spaceMark = "▁"

// scoreEncoder merges neighbours whose joint text is a token, the token with the
// highest score first. What no token covers is encoded byte by byte.
type scoreEncoder struct {
	*vocabulary
	scores []float32
	prefix bool // a space goes before text that starts the input or follows a special token
}

func newScoreEncoder(file *gguf.File, v *vocabulary) (*scoreEncoder, error) {
	const key = "tokenizer.ggml.scores"
	scores, err := file.Floats(key)
	if err != nil {
		return nil, err
	}
	if len(scores) != len(v.pieces) {
		return nil, fmt.Errorf("metadata %q: %d entries for %d tokens", key, len(scores), len(v.pieces))
	}
	for i, score := range scores {
		if score != score {
			return nil, fmt.Errorf("metadata %q: entry %d is not a number", key, i)
		}
	}
	prefix, err := file.Bool("tokenizer.ggml.add_space_prefix")
	if errors.Is(err, gguf.ErrMissing) {
		prefix, err = true, nil
	}
	return &scoreEncoder{vocabulary: v, scores: scores, prefix: prefix}, err
}

func (e *scoreEncoder) encode(ids []int32, text string, after bool) []int32 {
	if after && e.prefix {
		text = " " + text
	}
	symbols := make([]symbol, 0, len(text))
	for i := 0; i < len(text); {
		_, size := utf8.DecodeRuneInString(text[i:])
		symbols = append(symbols, symbol{start: i, end: i + size})
		i += size
	}
	merge(symbols, func(left, right symbol) (int32, float64, bool) {
		id, ok := e.ids[text[left.start:right.end]]
		if !ok {
			return 0, 0, false
		}
		return id, -float64(e.scores[id]), true
	})
	for _, s := range symbols {
		if s.start == s.end {
			continue
		}
		if id, ok := e.ids[text[s.start:s.end]]; ok {
			ids = append(ids, id)
			continue
		}
		ids = e.appendBytes(ids, text[s.start:s.end])
	}
	return ids
}

// appendBytes encodes text byte by byte. A byte without a token becomes the
// unknown token, or nothing if the vocabulary has none.
func (v *vocabulary) appendBytes(ids []int32, text string) []int32 {
	for i := range len(text) {
		id := v.bytes[text[i]]
		if id < 0 {
			id = v.unknown
		}
		if id >= 0 {
			ids = append(ids, id)
		}
	}
	return ids
}
