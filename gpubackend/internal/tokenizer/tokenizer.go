// Package tokenizer turns text into token ids and back, with nothing but the
// vocabulary that a GGUF file carries. It knows the two kinds that the supported
// models use, SentencePiece-style unigram merging by score and byte-level
// byte-pair encoding, and a fixed set of chat templates.
package tokenizer

import (
	"fmt"
	"slices"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// Tokenizer implements engine.Tokenizer. It is immutable and safe for concurrent use.
type Tokenizer struct {
	vocabulary
	start    []int32
	ends     map[int32]bool
	encoder  encoder
	template *template // nil: none, or one that is not known
	chatter  string    // why template is nil
}

var _ engine.Tokenizer = (*Tokenizer)(nil)

// encoder encodes plain text without any special token. after tells whether the
// text starts the input or stands behind a special token.
type encoder interface {
	encode(ids []int32, text string, after bool) []int32
}

// FromGGUF builds the tokenizer that a file describes. The error names the
// metadata key that is missing, malformed or not supported.
func FromGGUF(file *gguf.File) (*Tokenizer, error) {
	model, err := file.Text("tokenizer.ggml.model")
	if err != nil {
		return nil, err
	}
	if model != "llama" && model != "gpt2" {
		return nil, fmt.Errorf("metadata \"tokenizer.ggml.model\": %q is not supported, only \"llama\" and \"gpt2\" are", model)
	}
	vocabulary, err := readVocabulary(file, model == "gpt2")
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{vocabulary: *vocabulary}
	addStart := true
	if model == "llama" {
		t.encoder, err = newScoreEncoder(file, &t.vocabulary)
	} else {
		t.encoder, addStart, err = newPairEncoder(file, &t.vocabulary)
	}
	if err != nil {
		return nil, err
	}
	if err := t.readControl(file, addStart); err != nil {
		return nil, err
	}
	return t, t.readTemplate(file)
}

// Size returns the number of tokens in the vocabulary. A model may have more
// rows of logits than that: the rest is padding and stands for nothing.
func (t *Tokenizer) Size() int { return len(t.pieces) }

// Start returns the ids that stand before every prompt of the model, which may
// be none. Encode does not add them; Chat does.
func (t *Tokenizer) Start() []int32 { return slices.Clone(t.start) }

// Encode returns the ids of text. With special, control tokens in the text are
// recognised; without, they are plain text. Tokens that the file calls user
// defined are recognised always.
func (t *Tokenizer) Encode(text string, special bool) []int32 {
	return t.encodeFragments(t.split(nil, text, special))
}

func (t *Tokenizer) encodeFragments(fragments []fragment) []int32 {
	var ids []int32
	after := true
	for _, f := range fragments {
		if f.text == "" {
			ids, after = append(ids, f.id), true
			continue
		}
		ids, after = t.encoder.encode(ids, f.text, after), false
	}
	return ids
}

// Piece returns the bytes that a token stands for; control tokens, and ids that
// are not in the vocabulary, have none. The slice is the tokenizer's.
func (t *Tokenizer) Piece(id int32) []byte {
	if id < 0 || int(id) >= len(t.pieces) {
		return nil
	}
	return t.pieces[id]
}

// IsEnd reports whether a token ends the generation.
func (t *Tokenizer) IsEnd(id int32) bool { return t.ends[id] }
