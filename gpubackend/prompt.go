package gpubackend

import (
	"context"
	"net/http"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// longestPiece returns the maximum number of bytes in one token.
func longestPiece(words engine.Tokenizer, vocabulary int) int {
	longest := 1
	for id := range int32(vocabulary) {
		longest = max(longest, len(words.Piece(id)))
	}
	return longest
}

// longText is the size in bytes from which only a few texts are tokenized at once.
// Tokenizing takes up to three hundred times the size in memory, and the queue, which
// comes later, cannot limit it.
const longText = 16 << 10

// beginReading is called before a text is tokenized. It refuses a text that cannot fit
// into the context even if all its tokens are the longest ones, and lets a long text
// wait for its turn. The caller must call done afterwards.
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

// encode returns the tokens of a text that stands alone, with the model's start tokens.
func (s *Server) encode(ctx context.Context, text string) ([]int32, error) {
	done, err := s.beginReading(ctx, len(text))
	if err != nil {
		return nil, err
	}
	defer done()
	return append(s.tokenizer.Start(), s.tokenizer.Encode(text, false)...), nil
}

// chatPrompt returns the tokens of a conversation in the model's chat template.
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
	Content  *string   `json:"content"` // llama-server's name for the prompt
	Messages []message `json:"messages"`
}

// serveTokenize answers with the token ids that a generation would start from.
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
		tokens = []int32{} // JSON [] and not null
	}
	s.writeReply(w, map[string]any{"tokens": tokens, "count": len(tokens), "max_model_len": s.scheduler.Context()})
	return nil
}
