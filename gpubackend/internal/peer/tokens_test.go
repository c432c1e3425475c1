package peer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
)

var texts = []string{
	"a", " ", "  ", "\n", " \n", "\n \n\n", "hello world", "Hello, World!  It's the key's limit; they'LL see 12345 tokens.\n\n\tdone ",
	"naïve ÄÖÜß 日本語テキスト 🙂🙃 ½ ² ١٢٣", "don't we've I'm he'd she'll", "x=1;y==2//z\r\n\r\n  if (a<b) {\n\treturn\n}\n",
	"<|im_start|>user\nhello<|im_end|>\n", "a\u00a0b\u2003c\u3000d", "...!!!???---___", "1,234.56 $99 50% a+b=c ^^ ~~ ||",
	strings.Repeat("the keys and limits ", 20), strings.Repeat("=", 100), "e\u0301 \u0308x",
}

func TestTokensAreThoseOfLlamaCpp(t *testing.T) {
	for _, test := range []struct{ kind, template, pre string }{
		{"gpt2", "chatml", ""},
		{"gpt2", "llama3", ""},
		{"gpt2", "none", ""},
		{"llama", "llama2", ""},
		{"gpt2", "none", "default"},
		{"gpt2", "none", "smollm"},
	} {
		config := testmodel.Tiny()
		config.Tokenizer, config.Template = test.kind, test.template
		if test.pre != "" {
			config.Extra = map[string]any{"tokenizer.ggml.pre": test.pre}
		}
		p := open(t, config, Settings{Threads: 1, Context: 64, Sequences: 1})
		ours, err := tokenizer.FromGGUF(p.file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range append(texts, randomTexts()...) {
			for _, special := range []bool{false, true} {
				if want := p.theirs.Tokens(text, special); len(want) == 0 {
					t.Fatalf("llama.cpp has no tokens for %q", text)
				}
				got, want := ours.Encode(text, special), p.theirs.Tokens(text, special)
				if !slices.Equal(got, want) {
					t.Errorf("%s %s %s: %q is %v, llama.cpp says %v", test.kind, test.template, test.pre, text, got, want)
				}
			}
		}
	}
}

// randomTexts are made of the pieces at which splitters go different ways.
func randomTexts() []string {
	pieces := []string{
		" ", "  ", "\n", "\r\n", "\t", "a", "key", "Limit", "é", "日本", "1", "23", "4567", "'s", "'LL", "'", ".", ",;", "🙂", "\u00a0", "\u2003", "_", "$",
	}
	r := rand.New(rand.NewPCG(9, 9))
	var all []string
	for range 500 {
		var text strings.Builder
		for range 1 + r.IntN(12) {
			text.WriteString(pieces[r.IntN(len(pieces))])
		}
		all = append(all, text.String())
	}
	return all
}
