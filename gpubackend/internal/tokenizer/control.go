package tokenizer

import (
	"errors"
	"fmt"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// endTexts are special tokens that end an answer in one of the known templates.
// Files often name only one of several.
var endTexts = [...]string{"</s>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|end_of_text|>", "<|end|>"}

// readControl finds the tokens that start prompts and end answers. addStart
// tells whether prompts get a start token if the file does not say.
func (t *Tokenizer) readControl(file *gguf.File, addStart bool) error {
	t.ends = make(map[int32]bool)
	for _, key := range []string{"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"} {
		id, err := t.tokenID(file, key)
		if err != nil {
			return err
		}
		if id >= 0 {
			t.ends[id] = true
		}
	}
	for _, text := range endTexts {
		if id, ok := t.special[text]; ok {
			t.ends[id] = true
		}
	}
	start, err := t.tokenID(file, "tokenizer.ggml.bos_token_id")
	if err != nil {
		return err
	}
	add, err := file.Bool("tokenizer.ggml.add_bos_token")
	if errors.Is(err, gguf.ErrMissing) {
		add, err = addStart, nil
	}
	if add && start >= 0 {
		t.start = []int32{start}
	}
	return err
}

// tokenID reads a token's id, -1 if the file does not name it.
func (t *Tokenizer) tokenID(file *gguf.File, key string) (int32, error) {
	id, err := file.Int(key)
	if errors.Is(err, gguf.ErrMissing) {
		return -1, nil
	}
	if err == nil && (id < 0 || id >= int64(len(t.pieces))) {
		err = fmt.Errorf("metadata %q: %d is not one of the %d tokens", key, id, len(t.pieces))
	}
	return int32(id), err
}
