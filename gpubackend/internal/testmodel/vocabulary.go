package testmodel

import (
	"fmt"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// Kinds of tokens, from the GGUF format.
const (
	normalToken  = int32(1)
	unknownToken = int32(2)
	controlToken = int32(3)
	byteToken    = int32(6)
)

// vocabulary has a token for every byte, some words, and the control tokens of
// the chat template.
type vocabulary struct {
	tokens []string
	kinds  []int32
	merges []string
	scores []float32
	byText map[string]bool
}

// MinVocabulary returns the number of tokens that the vocabulary needs.
func MinVocabulary(c Config) int { return len(newVocabulary(c).tokens) }

var controls = map[string][]string{
	"chatml": {"<|endoftext|>", "<|im_start|>", "<|im_end|>"},
	"llama3": {"<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
	"llama2": {}, "zephyr": {"<|system|>", "<|user|>", "<|assistant|>"}, "none": {},
}

var templates = map[string]string{
	"chatml": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n",
	"llama3": "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}<|eot_id|>{% endfor %}",
	"llama2": "{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}",
	"zephyr": "{% for m in messages %}<|user|>\n{{ m.content }}</s>\n{% endfor %}<|assistant|>\n",
}

var words = []string{
	"the", "and", "ing", "key", "keys", "limit", "limits", "credit", "credits", "token", "tokens",
	"model", "stream", "hello", "world", "answer", "request", "server",
}

func newVocabulary(c Config) *vocabulary {
	v := &vocabulary{byText: make(map[string]bool)}
	if c.Tokenizer == "llama" {
		v.scored()
	} else {
		v.paired()
	}
	for _, text := range controls[c.template()] {
		v.add(text, controlToken, 0)
	}
	return v
}

func (c Config) template() string {
	if c.Template == "" {
		return "chatml"
	}
	return c.Template
}

func (v *vocabulary) add(text string, kind int32, score float32) {
	if v.byText[text] {
		return
	}
	v.byText[text] = true
	v.tokens, v.kinds, v.scores = append(v.tokens, text), append(v.kinds, kind), append(v.scores, score)
}

// paired makes a byte-level vocabulary with the merges that build the words.
func (v *vocabulary) paired() {
	shifted := rune(256)
	for b := range rune(256) {
		if b > 32 && b < 127 || b > 160 && b != 173 {
			v.add(string(b), normalToken, 0)
			continue
		}
		v.add(string(shifted), normalToken, 0)
		shifted++
	}
	const space = "\u0120" // how byte-level vocabularies write a space
	for _, word := range words {
		for end := 1; end < len(word); end++ {
			v.pair(word[:end], word[end:end+1])
		}
		v.pair(space, word)
	}
	// Pairs across every kind of border, so that it shows in the tokens where a
	// splitter cuts.
	borders := []string{space, "\u010a", "\u0109", "a", "s", "1", "2", ".", "'", "$", "="}
	for _, left := range borders {
		for _, right := range borders {
			v.pair(left, right)
		}
	}
}

func (v *vocabulary) pair(left, right string) {
	if v.byText[left+right] {
		return
	}
	v.merges = append(v.merges, left+" "+right)
	v.add(left+right, normalToken, 0)
}

// scored makes a vocabulary as SentencePiece does: bytes, letters, words.
func (v *vocabulary) scored() {
	v.add("<unk>", unknownToken, 0)
	v.add("<s>", controlToken, 0)
	v.add("</s>", controlToken, 0)
	for b := range 256 {
		v.add(fmt.Sprintf("<0x%02X>", b), byteToken, 0)
	}
	rank := float32(0)
	rest := func(text string) {
		v.add(text, normalToken, rank)
		rank--
	}
	for _, word := range words {
		for end := 2; end <= len(word); end++ {
			rest(word[:end])
		}
		rest("▁" + word)
	}
	for b := byte(33); b < 127; b++ {
		rest(string(b))
	}
	rest("▁")
}

// fill pads the vocabulary with words of its own.
func (v *vocabulary) fill(size int) {
	for i := 0; len(v.tokens) < size; i++ {
		v.add(fmt.Sprintf("filler%d", i), normalToken, -1e6)
	}
	if len(v.tokens) > size {
		panic(fmt.Sprintf("a vocabulary of %d tokens, want at least %d", size, len(v.tokens)))
	}
}

func (v *vocabulary) id(text string) uint32 {
	for i, token := range v.tokens {
		if token == text {
			return uint32(i)
		}
	}
	panic("no token " + text)
}

func (v *vocabulary) write(w *gguf.Writer, c Config) {
	const t = "tokenizer.ggml."
	put(w, c, t+"tokens", v.tokens)
	put(w, c, t+"token_type", v.kinds)
	if c.Tokenizer == "llama" {
		put(w, c, t+"model", "llama")
		put(w, c, t+"scores", v.scores)
		put(w, c, t+"bos_token_id", v.id("<s>"))
		put(w, c, t+"eos_token_id", v.id("</s>"))
	} else {
		put(w, c, t+"model", "gpt2")
		put(w, c, t+"merges", v.merges)
	}
	if template, ok := templates[c.template()]; ok {
		put(w, c, "tokenizer.chat_template", template)
	}
	if c.Tokenizer == "llama" {
		return
	}
	switch c.template() {
	case "chatml":
		put(w, c, t+"pre", "qwen2")
		put(w, c, t+"eos_token_id", v.id("<|im_end|>"))
	case "llama3":
		put(w, c, t+"pre", "llama-bpe")
		put(w, c, t+"bos_token_id", v.id("<|begin_of_text|>"))
		put(w, c, t+"eos_token_id", v.id("<|eot_id|>"))
	default:
		put(w, c, t+"pre", "gpt-2")
	}
}
