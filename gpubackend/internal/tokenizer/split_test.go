package tokenizer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
)

// Vocabularies reserve hundreds of control tokens that begin alike. Callers' text
// cannot mean them, so it must not be held against each of them: a megabyte of
// one character would take seconds.
func TestControlTokensDoNotSlowPlainTextDown(t *testing.T) {
	const reserved = 2000
	config := testmodel.Tiny()
	file := testmodel.Open(config)
	few, err := tokenizer.FromGGUF(file)
	if err != nil {
		t.Fatal(err)
	}
	many, err := tokenizer.FromGGUF(withReserved(t, config, file, reserved))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("<", 1<<17)
	took := func(words *tokenizer.Tokenizer) time.Duration {
		least := time.Hour
		for range 3 {
			began := time.Now()
			words.Encode(text, false)
			least = min(least, time.Since(began))
		}
		return least
	}
	with, without := took(many), took(few)
	if with > 5*without+100*time.Millisecond {
		t.Errorf("with %d control tokens %v, without %v", reserved, with, without)
	}
	if ids := many.Encode("<|reserved_7|>", true); len(ids) != 1 {
		t.Errorf("a control token where they count became %v", ids)
	}
}

func withReserved(t *testing.T, config testmodel.Config, file *gguf.File, count int) *gguf.File {
	t.Helper()
	texts, err := file.Texts("tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	numbers, err := file.Ints("tokenizer.ggml.token_type")
	if err != nil {
		t.Fatal(err)
	}
	kinds := make([]int32, len(numbers))
	for i, number := range numbers {
		kinds[i] = int32(number)
	}
	for i := range count {
		texts, kinds = append(texts, fmt.Sprintf("<|reserved_%d|>", i)), append(kinds, 3)
	}
	config.Vocabulary = len(texts)
	config.Extra = map[string]any{"tokenizer.ggml.tokens": texts, "tokenizer.ggml.token_type": kinds}
	return testmodel.Open(config)
}
