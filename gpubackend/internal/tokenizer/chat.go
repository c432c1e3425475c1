package tokenizer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// template writes a conversation as fragments: marks are the model's own tokens,
// contents are plain text, so that no content can pass for a mark.
type template struct {
	name  string
	write func(w *writer, messages []engine.Message)
}

// knownTemplates tells the templates by a text that only their source contains.
var knownTemplates = []struct {
	sign string
	template
}{
	{"<|im_start|>", template{"chatml", writeChatML}},
	{"<|start_header_id|>", template{"llama3", writeLlama3}},
	{"[INST]", template{"llama2", writeLlama2}},
	{"<|user|>", template{"zephyr", writeZephyr}},
}

func (t *Tokenizer) readTemplate(file *gguf.File) error {
	source, err := file.Text("tokenizer.chat_template")
	if errors.Is(err, gguf.ErrMissing) {
		t.chatter = "the file has no chat template"
		return nil
	}
	if err != nil {
		return err
	}
	for _, known := range knownTemplates {
		if strings.Contains(source, known.sign) {
			t.template = &known.template
			return nil
		}
	}
	t.chatter = "the file's chat template is none of chatml, llama3, llama2, zephyr"
	return nil
}

// Template returns the name of the chat template, empty if there is no known one.
func (t *Tokenizer) Template() string {
	if t.template == nil {
		return ""
	}
	return t.template.name
}

// Chat returns the ids of a conversation in the model's chat template, ready for
// the assistant's answer.
func (t *Tokenizer) Chat(messages []engine.Message) ([]int32, error) {
	if t.template == nil {
		return nil, errors.New(t.chatter)
	}
	if len(messages) == 0 {
		return nil, errors.New("the conversation has no messages")
	}
	for i, message := range messages {
		switch message.Role {
		case "system", "user", "assistant":
		default:
			return nil, fmt.Errorf("message %d: role %q is none of system, user, assistant", i, message.Role)
		}
	}
	w := &writer{tokenizer: t}
	for _, id := range t.start {
		w.fragments = append(w.fragments, fragment{id: id})
	}
	t.template.write(w, messages)
	return t.encodeFragments(w.fragments), nil
}

type writer struct {
	tokenizer *Tokenizer
	fragments []fragment
}

// mark adds text in which the model's special tokens count.
func (w *writer) mark(text string) {
	w.fragments = w.tokenizer.split(w.fragments, text, true)
}

// content adds text from outside, in which no special token counts, not even one
// that the file calls user-defined: files exist that call their template's marks
// so, and a caller must not be able to write those.
func (w *writer) content(text string) {
	w.fragments = appendText(w.fragments, text)
}

func writeChatML(w *writer, messages []engine.Message) {
	for _, message := range messages {
		w.mark("<|im_start|>" + message.Role + "\n")
		w.content(message.Content)
		w.mark("<|im_end|>\n")
	}
	w.mark("<|im_start|>assistant\n")
}

func writeLlama3(w *writer, messages []engine.Message) {
	for _, message := range messages {
		w.mark("<|start_header_id|>" + message.Role + "<|end_header_id|>\n\n")
		w.content(strings.TrimSpace(message.Content))
		w.mark("<|eot_id|>")
	}
	w.mark("<|start_header_id|>assistant<|end_header_id|>\n\n")
}

// writeLlama2 puts system texts into the next user turn, as that template has
// no turn of their own for them.
func writeLlama2(w *writer, messages []engine.Message) {
	open := false
	begin := func() {
		if !open {
			w.mark("[INST] ")
			open = true
		}
	}
	for i, message := range messages {
		content := strings.TrimSpace(message.Content)
		switch message.Role {
		case "system":
			begin()
			w.mark("<<SYS>>\n")
			w.content(content)
			w.mark("\n<</SYS>>\n\n")
		case "user":
			begin()
			w.content(content)
			w.mark(" [/INST]")
			open = false
		case "assistant":
			w.mark(" ")
			w.content(content)
			w.mark(" ")
			w.mark("</s>")
			if i+1 < len(messages) {
				for _, id := range w.tokenizer.start {
					w.fragments = append(w.fragments, fragment{id: id})
				}
			}
		}
	}
	if open {
		w.mark(" [/INST]")
	}
}

func writeZephyr(w *writer, messages []engine.Message) {
	for _, message := range messages {
		w.mark("<|" + message.Role + "|>\n")
		w.content(message.Content)
		w.mark("</s>\n")
	}
	w.mark("<|assistant|>\n")
}
