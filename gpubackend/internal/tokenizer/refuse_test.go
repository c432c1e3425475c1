package tokenizer_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
)

func TestUnusableVocabulariesAreRefusedWithTheKey(t *testing.T) {
	const prefix = "tokenizer.ggml."
	for want, test := range map[string]struct {
		kind, key string
		value     any
	}{
		`"tokenizer.ggml.model": "bert" is not supported`:                  {"gpt2", "model", "bert"},
		`"tokenizer.ggml.pre": "klingon" is not supported`:                 {"gpt2", "pre", "klingon"},
		`"tokenizer.ggml.tokens": is empty`:                                {"gpt2", "tokens", []string{}},
		`"tokenizer.ggml.tokens": is array of int32, want array of string`: {"gpt2", "tokens", []int32{1}},
		`"tokenizer.ggml.token_type": 1 entries for`:                       {"gpt2", "token_type", []int32{1}},
		`"tokenizer.ggml.scores": 2 entries for`:                           {"llama", "scores", []float32{1, 2}},
		`"tokenizer.ggml.merges": entry 1, "ab", is not two tokens`:        {"gpt2", "merges", []string{"a b", "ab"}},
		`"tokenizer.ggml.eos_token_id": 1000000 is not one of the`:         {"gpt2", "eos_token_id", uint32(1e6)},
		`"tokenizer.ggml.bos_token_id": is string, want a whole number`:    {"llama", "bos_token_id", "<s>"},
		`"tokenizer.ggml.add_bos_token": is string, want bool`:             {"llama", "add_bos_token", "yes"},
		`"tokenizer.ggml.add_space_prefix": is uint32, want bool`:          {"llama", "add_space_prefix", uint32(1)},
		`"tokenizer.ggml.eot_token_id": -1 is not one of the`:              {"gpt2", "eot_token_id", int32(-1)},
	} {
		config := testmodel.Tiny()
		config.Tokenizer, config.Extra = test.kind, map[string]any{prefix + test.key: test.value}
		_, err := tokenizer.FromGGUF(testmodel.Open(config))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	file, err := gguf.Parse(gguf.NewWriter().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokenizer.FromGGUF(file); err == nil || !strings.Contains(err.Error(), `"tokenizer.ggml.model": missing`) {
		t.Errorf("an empty file: %v", err)
	}
}

func TestAnUnknownTemplateIsAnErrorOfChatOnly(t *testing.T) {
	config := testmodel.Tiny()
	config.Extra = map[string]any{"tokenizer.chat_template": "{{ messages }}"}
	tok, err := tokenizer.FromGGUF(testmodel.Open(config))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tok.Chat([]engine.Message{{Role: "user"}}); err == nil || !strings.Contains(err.Error(), "none of chatml") {
		t.Errorf("Chat: %v", err)
	}
	if tok.Template() != "" || len(tok.Encode("hello", false)) == 0 {
		t.Error("the tokenizer does not work without a template")
	}
}

// A long text without any border, which nothing cuts into words: with merging
// that tries every pair anew this would take many minutes, not a moment.
func TestLongWordsDoNotTakeQuadraticTime(t *testing.T) {
	long := strings.Repeat("keys", 1<<16)
	for _, kind := range []string{"gpt2", "llama"} {
		config := testmodel.Tiny()
		config.Tokenizer = kind
		tok, err := tokenizer.FromGGUF(testmodel.Open(config))
		if err != nil {
			t.Fatal(err)
		}
		if got := text(tok, tok.Encode(long, true)); strings.TrimPrefix(got, " ") != long {
			t.Errorf("%s: %d bytes came back as %d", kind, len(long), len(got))
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	var all []*tokenizer.Tokenizer
	for _, splitter := range []string{"gpt-2", "llama-bpe", "qwen2", "smollm", "default"} {
		config := testmodel.Tiny()
		config.Extra = map[string]any{"tokenizer.ggml.pre": splitter}
		tok, err := tokenizer.FromGGUF(testmodel.Open(config))
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, tok)
	}
	scored := load(f, "llama", "llama2")
	f.Fuzz(func(t *testing.T, want string) {
		for i, tok := range all {
			if got := text(tok, tok.Encode(want, false)); got != want {
				t.Errorf("splitter %d: %q came back as %q", i, want, got)
			}
			if _, err := tok.Chat([]engine.Message{{Role: "user", Content: want}}); err != nil {
				t.Error(err)
			}
			tok.Encode(want, true)
		}
		if got := text(scored, scored.Encode(want, false)); want != "" && got != " "+want {
			t.Errorf("by score: %q came back as %q", want, got)
		}
	})
}

// FuzzFromGGUF changes bytes of a vocabulary. What is not refused must work.
func FuzzFromGGUF(f *testing.F) {
	config := testmodel.Tiny()
	config.Layers, config.Embedding, config.Hidden, config.Heads, config.KeyHeads = 1, 32, 32, 1, 1
	models := [][]byte{testmodel.Build(config)}
	config.Tokenizer = "llama"
	models = append(models, testmodel.Build(config))
	f.Add(uint16(9), byte(1), uint16(900), byte(2))
	f.Fuzz(func(t *testing.T, at uint16, value byte, at2 uint16, value2 byte) {
		for _, model := range models {
			data := bytes.Clone(model)
			data[int(at)%len(data)], data[int(at2)%len(data)] = value, value2
			file, err := gguf.Parse(data)
			if err != nil {
				continue
			}
			tok, err := tokenizer.FromGGUF(file)
			if err != nil {
				continue
			}
			for _, id := range tok.Encode("hello keys\n\n 123 \xff", true) {
				if id < 0 || int(id) >= tok.Size() {
					t.Fatalf("token %d of %d", id, tok.Size())
				}
				tok.Piece(id)
			}
			tok.Chat([]engine.Message{{Role: "user", Content: "hello"}})
		}
	})
}
