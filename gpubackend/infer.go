package gpubackend

import (
	"net/http"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// inferRequest is the body of POST /infer: messages, or a prompt with an optional
// system prompt, or messages with the prompt as the last turn.
type inferRequest struct {
	generationFields
	Prompt       string    `json:"prompt"`
	SystemPrompt string    `json:"system_prompt"`
	Messages     []message `json:"messages"`
}

// turns puts the parts in the order of a conversation.
func (b *inferRequest) turns() []message {
	var turns []message
	if b.SystemPrompt != "" {
		turns = append(turns, message{Role: "system", Content: textContent(b.SystemPrompt)})
	}
	turns = append(turns, b.Messages...)
	// Some clients send the last turn a second time as the prompt.
	repeated := false
	if last := len(b.Messages) - 1; last >= 0 {
		repeated = b.Messages[last].Role == "user" && string(b.Messages[last].Content) == b.Prompt
	}
	if b.Prompt != "" && !repeated {
		turns = append(turns, message{Role: "user", Content: textContent(b.Prompt)})
	}
	return turns
}

func (s *Server) serveInfer(w http.ResponseWriter, r *http.Request) error {
	var body inferRequest
	if err := s.readBody(w, r, &body); err != nil {
		return err
	}
	if err := s.checkModel(body.Model); err != nil {
		return err
	}
	if body.choices() != 1 {
		return unsupported("n", " other than 1")
	}
	request, err := body.request(defaultMaxTokens)
	if err != nil {
		return err
	}
	turns := body.turns()
	if len(turns) == 0 {
		return invalid("prompt", "prompt and messages are both missing")
	}
	prompt, err := s.chatPrompt(r.Context(), turns)
	if err != nil {
		return err
	}
	return s.answer(w, r, s.newGeneration(&body.generationFields, request, [][]int32{prompt}, inferShape{s}, "infer-"))
}

// inferShape is the plain shape of /infer.
type inferShape struct{ server *Server }

type inferBody struct {
	Text          string              `json:"text"`
	TokensIn      int                 `json:"tokens_in"`
	TokensOut     int                 `json:"tokens_out"`
	FinishReason  engine.FinishReason `json:"finish_reason"`
	Model         string              `json:"model"`
	Timings       timingsBody         `json:"timings"`
	Warnings      []string            `json:"warnings,omitempty"`
	Demonstration bool                `json:"demonstration,omitempty"`
}

func (h inferShape) whole(g *generation, choices []choice) any {
	usage := g.usage()
	return inferBody{
		Text: choices[0].text, TokensIn: usage.PromptTokens, TokensOut: usage.CompletionTokens,
		FinishReason: choices[0].finish, Model: h.server.name(), Timings: g.timings(), Warnings: g.warnings,
		Demonstration: h.server.info.Demonstration,
	}
}

func (h inferShape) first(*generation, int) any { return nil }

// piece is {"text"}. The last event is the body of a reply that is not streamed, with
// the rest of the text.
func (h inferShape) piece(g *generation, _ int, piece *choice) any {
	if piece.finish != "" {
		return h.whole(g, []choice{*piece})
	}
	return map[string]string{"text": piece.text}
}

func (h inferShape) closing(*generation) any { return nil }
