package gpubackend

import (
	"context"
	"net/http"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// longestPiece is the number of bytes that one token stands for at most.
func longestPiece(words engine.Tokenizer, vocabulary int) int {
	longest := 1
	for id := range int32(vocabulary) {
		longest = max(longest, len(words.Piece(id)))
	}
	return longest
}

// longText is the size from which texts are read a few at a time. Reading takes up
// to three hundred times the size in memory, before the queue has a say.
const longText = 16 << 10

// beginReading refuses a text that cannot fit whatever its tokens are, before any
// work is put into it, and waits for its turn if it is long. Call done afterwards.
func (s *Server) beginReading(ctx context.Context, bytes int) (done func(), err error) {
	least := (bytes + s.longest - 1) / s.longest
	if least > s.scheduler.Context() {
		return nil, &engine.ContextError{Prompt: least, Least: true, Context: s.scheduler.Context()}
	}
	if bytes < longText {
		return func() {}, nil
	}
	select {
	case s.reading <- struct{}{}:
		return func() { <-s.reading }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// encode is a text as the model reads it when it stands alone.
func (s *Server) encode(ctx context.Context, text string) ([]int32, error) {
	done, err := s.beginReading(ctx, len(text))
	if err != nil {
		return nil, err
	}
	defer done()
	return append(s.tokenizer.Start(), s.tokenizer.Encode(text, false)...), nil
}

// chatPrompt is a conversation in the model's template.
func (s *Server) chatPrompt(ctx context.Context, messages []message) ([]int32, error) {
	turns, err := conversation(messages)
	if err != nil {
		return nil, err
	}
	bytes := 0
	for _, turn := range turns {
		bytes += len(turn.Content)
	}
	done, err := s.beginReading(ctx, bytes)
	if err != nil {
		return nil, err
	}
	defer done()
	prompt, err := s.tokenizer.Chat(turns)
	if err != nil {
		return nil, invalid("messages", err.Error()+"; /v1/completions takes plain text")
	}
	return prompt, nil
}

// tokenizeRequest is the body of POST /tokenize: a text or a conversation.
type tokenizeRequest struct {
	Model    string    `json:"model"`
	Prompt   *string   `json:"prompt"`
	Content  *string   `json:"content"` // llama-server's word for the same
	Messages []message `json:"messages"`
}

// serveTokenize answers with the ids that a generation would read.
func (s *Server) serveTokenize(w http.ResponseWriter, r *http.Request) error {
	var body tokenizeRequest
	err := s.readBody(w, r, &body)
	if err != nil {
		return err
	}
	if err := s.checkModel(body.Model); err != nil {
		return err
	}
	if body.Prompt == nil {
		body.Prompt = body.Content
	}
	var tokens []int32
	switch {
	case body.Messages != nil:
		tokens, err = s.chatPrompt(r.Context(), body.Messages)
	case body.Prompt != nil:
		tokens, err = s.encode(r.Context(), *body.Prompt)
	default:
		err = invalid("prompt", "prompt and messages are both missing")
	}
	if err != nil {
		return err
	}
	if tokens == nil {
		tokens = []int32{} // an empty text is a list all the same
	}
	s.writeReply(w, map[string]any{"tokens": tokens, "count": len(tokens), "max_model_len": s.scheduler.Context()})
	return nil
}
