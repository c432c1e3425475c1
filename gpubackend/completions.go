package gpubackend

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

const (
	defaultCompletionTokens = 16 // as in OpenAI's API
	mostPrompts             = 64
	mostCompletionLogprobs  = 5
)

// completionRequest is the body of POST /v1/completions.
type completionRequest struct {
	generationFields
	Prompt   json.RawMessage `json:"prompt"`
	Logprobs *int            `json:"logprobs"`
	Echo     bool            `json:"echo"`
	Suffix   string          `json:"suffix"`
	BestOf   *int            `json:"best_of"`
}

func (s *Server) serveCompletions(w http.ResponseWriter, r *http.Request) error {
	var body completionRequest
	if err := s.readBody(w, r, &body); err != nil {
		return err
	}
	switch {
	case body.Echo:
		return unsupported("echo", "")
	case body.Suffix != "":
		return unsupported("suffix", "")
	case body.BestOf != nil && *body.BestOf != body.choices():
		return unsupported("best_of", " other than n")
	}
	if err := s.checkModel(body.Model); err != nil {
		return err
	}
	request, err := body.request(defaultCompletionTokens)
	if err != nil {
		return err
	}
	if body.Logprobs != nil {
		request.Logprobs, request.TopLogprobs = true, *body.Logprobs
		if request.TopLogprobs < 0 || request.TopLogprobs > mostCompletionLogprobs {
			return invalid("logprobs", fmt.Sprintf("logprobs is %d, it must be from 0 to %d", *body.Logprobs, mostCompletionLogprobs))
		}
	}
	prompts, err := s.textsOrTokens(r.Context(), "prompt", body.Prompt)
	if err != nil {
		return err
	}
	return s.answer(w, r, s.newGeneration(&body.generationFields, request, prompts, textShape{s, request.Logprobs}, "cmpl-"))
}

// textsOrTokens reads a member that is a text, a list of texts, a list of token ids, or
// a list of such lists, as OpenAI's older routes take it.
func (s *Server) textsOrTokens(ctx context.Context, name string, text json.RawMessage) ([][]int32, error) {
	var texts []string
	var tokens [][]int32
	if len(text) == 0 || string(text) == "null" {
		return nil, invalid(name, name+" is missing")
	}
	if one, ok := read[string](text); ok {
		texts = []string{one}
	} else if many, ok := read[[]string](text); ok {
		texts = many
	} else if one, ok := read[[]int32](text); ok {
		tokens = [][]int32{one}
	} else if many, ok := read[[][]int32](text); ok {
		tokens = many
	} else {
		return nil, invalid(name, name+" must be a text, a list of texts, or token ids")
	}
	if err := checkCount(name, len(texts)+len(tokens)); err != nil {
		return nil, err
	}
	for _, one := range texts {
		prompt, err := s.encode(ctx, one)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, prompt)
	}
	return tokens, nil
}

// read decodes a member as a type. It returns the zero value if that fails.
func read[T any](text json.RawMessage) (T, bool) {
	var value, none T
	if json.Unmarshal(text, &value) != nil {
		return none, false
	}
	return value, true
}

func checkCount(name string, count int) error {
	if count < 1 || count > mostPrompts {
		return invalid(name, fmt.Sprintf("%s has %d entries, it must have 1 to %d", name, count, mostPrompts))
	}
	return nil
}

// textShape is OpenAI's text completion.
type textShape struct {
	server   *Server
	logprobs bool
}

func (h textShape) choice(index int, piece *choice) choiceBody {
	one := choiceBody{Index: index, Text: &piece.text, Logprobs: h.logprobsOf(piece.tokens)}
	if piece.finish != "" {
		one.FinishReason = &piece.finish
	}
	return one
}

func (h textShape) whole(g *generation, choices []choice) any {
	body := h.server.completion(g, "text_completion")
	for i := range choices {
		body.Choices = append(body.Choices, h.choice(i, &choices[i]))
	}
	return body.finished(g)
}

func (h textShape) first(*generation, int) any { return nil }

func (h textShape) piece(g *generation, index int, piece *choice) any {
	return h.server.streamed(g, "text_completion", h.choice(index, piece))
}

func (h textShape) closing(g *generation) any { return h.server.usageEvent(g, "text_completion") }

// completionLogprobs has one entry per token in each list.
type completionLogprobs struct {
	Tokens        []string             `json:"tokens"`
	TokenLogprobs []float32            `json:"token_logprobs"`
	TopLogprobs   []map[string]float32 `json:"top_logprobs"`
}

func (h textShape) logprobsOf(tokens []engine.Token) any {
	if !h.logprobs {
		return nil
	}
	lists := completionLogprobs{Tokens: []string{}, TokenLogprobs: []float32{}, TopLogprobs: []map[string]float32{}}
	for _, token := range tokens {
		top := map[string]float32{}
		for _, candidate := range token.Top {
			top[h.tokenText(candidate.ID)] = candidate.Logprob
		}
		drawn := h.tokenText(token.ID)
		top[drawn] = token.Logprob // also if it is not one of the likeliest
		lists.Tokens = append(lists.Tokens, drawn)
		lists.TokenLogprobs = append(lists.TokenLogprobs, token.Logprob)
		lists.TopLogprobs = append(lists.TopLogprobs, top)
	}
	return lists
}

// tokenText returns a token's text. Bytes that are only part of a character are written
// in OpenAI's notation, because JSON would turn all of them into the same U+FFFD.
func (h textShape) tokenText(id int32) string {
	raw := h.server.tokenizer.Piece(id)
	if utf8.Valid(raw) {
		return string(raw)
	}
	text := "bytes:"
	for _, one := range raw {
		text += fmt.Sprintf(`\x%02x`, one)
	}
	return text
}
