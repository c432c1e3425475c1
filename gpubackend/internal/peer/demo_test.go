package peer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
	"github.com/penstockhq/penstock/gpubackend/model"
)

// The embedded model is an ordinary GGUF file: llama.cpp reads it, cuts its
// prompts into the same tokens and gives the same answers.
func TestDemonstrationModelAnswersInLlamaCpp(t *testing.T) {
	needLibrary(t)
	path := filepath.Join(t.TempDir(), "demo.gguf")
	if err := os.WriteFile(path, model.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := gguf.Parse(model.File())
	if err != nil {
		t.Fatal(err)
	}
	words, err := tokenizer.FromGGUF(file)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := Open(path, Settings{Threads: 1, Context: 256, Sequences: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	for question, beginning := range map[string]string{
		"What is a credit?":              "One credit is one minute of compute.",
		"What is rpm?":                   "rpm is requests per minute",
		"How do I create a key?":         "Use caddy penstock keys create",
		"What is the capital of France?": "I do not know that.",
	} {
		prompt, err := words.Chat([]engine.Message{{Role: "user", Content: question}})
		if err != nil {
			t.Fatal(err)
		}
		if want := theirs.Tokens("<|im_start|>user\n"+question+"<|im_end|>\n<|im_start|>assistant\n", true); !slices.Equal(prompt, want) {
			t.Errorf("%q is %v, llama.cpp says %v", question, prompt, want)
		}
		if got := answer(t, theirs, words, prompt); !strings.HasPrefix(got, beginning) {
			t.Errorf("%q: llama.cpp answers %q, want %q first", question, got, beginning)
		}
	}
}

// answer decodes greedily in llama.cpp.
func answer(t *testing.T, theirs *Model, words *tokenizer.Tokenizer, prompt []int32) string {
	t.Helper()
	if err := theirs.Forget(0, 0); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	next, position := prompt, 0
	for position < 200 {
		var rows []Row
		for n, id := range next {
			rows = append(rows, Row{Token: id, Position: int32(position), Logits: n == len(next)-1})
			position++
		}
		if err := theirs.Step(rows); err != nil {
			t.Fatal(err)
		}
		logits, err := theirs.Logits(len(rows) - 1)
		if err != nil {
			t.Fatal(err)
		}
		id := int32(slices.Index(logits, slices.Max(logits)))
		if words.IsEnd(id) {
			return text.String()
		}
		text.Write(words.Piece(id))
		next = []int32{id}
	}
	return text.String()
}
