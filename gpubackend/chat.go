package gpubackend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// chatRequest is the body of POST /v1/chat/completions.
type chatRequest struct {
	generationFields
	Messages       []message       `json:"messages"`
	Logprobs       bool            `json:"logprobs"`
	TopLogprobs    *int            `json:"top_logprobs"`
	Tools          json.RawMessage `json:"tools"`
	Functions      json.RawMessage `json:"functions"`
	ResponseFormat *struct {
		Type string `json:"type"`
	} `json:"response_format"`
}

// message is a turn of a conversation.
type message struct {
	Role    string      `json:"role"`
	Content textContent `json:"content"`
}

// textContent is a string, null, or a list of parts of type text.
type textContent string

// UnmarshalJSON joins the parts of a list.
func (c *textContent) UnmarshalJSON(text []byte) error {
	var whole string // null leaves it empty
	if json.Unmarshal(text, &whole) == nil {
		*c = textContent(whole)
		return nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(text, &parts); err != nil {
		return invalidType("content", "content must be a string or a list of parts")
	}
	var joined strings.Builder
	for _, part := range parts {
		if part.Type != "text" {
			return invalidType("content", fmt.Sprintf("content parts of type %.40q are not supported, only text is", part.Type))
		}
		joined.WriteString(part.Text)
	}
	*c = textContent(joined.String())
	return nil
}

// conversation checks the turns and names them as the engine does.
func conversation(messages []message) ([]engine.Message, error) {
	if len(messages) == 0 {
		return nil, invalid("messages", "messages is empty")
	}
	turns := make([]engine.Message, len(messages))
	for i, one := range messages {
		role := one.Role
		switch role {
		case "system", "user", "assistant":
		case "developer": // OpenAI's newer name for system
			role = "system"
		default:
			return nil, invalid(fmt.Sprintf("messages[%d].role", i), fmt.Sprintf("role %.40q is not supported; want system, user or assistant", role))
		}
		turns[i] = engine.Message{Role: role, Content: string(one.Content)}
	}
	return turns, nil
}

func (s *Server) serveChat(w http.ResponseWriter, r *http.Request) error {
	var body chatRequest
	if err := s.readBody(w, r, &body); err != nil {
		return err
	}
	switch {
	case !empty(body.Tools):
		return unsupported("tools", "")
	case !empty(body.Functions):
		return unsupported("functions", "")
	case body.ResponseFormat != nil && body.ResponseFormat.Type != "text":
		return unsupported("response_format", fmt.Sprintf(" of type %.40q", body.ResponseFormat.Type))
	}
	if err := s.checkModel(body.Model); err != nil {
		return err
	}
	request, err := body.request(defaultMaxTokens)
	if err != nil {
		return err
	}
	request.Logprobs, request.TopLogprobs = body.Logprobs, valueOr(body.TopLogprobs, 0)
	if top := request.TopLogprobs; top < 0 || top > mostTopLogprobs || top > 0 && !body.Logprobs {
		return invalid("top_logprobs", fmt.Sprintf("top_logprobs is %d, it must be from 0 to %d and needs logprobs", top, mostTopLogprobs))
	}
	prompt, err := s.chatPrompt(r.Context(), body.Messages)
	if err != nil {
		return err
	}
	return s.answer(w, r, s.newGeneration(&body.generationFields, request, [][]int32{prompt}, chatShape{s, body.Logprobs}, "chatcmpl-"))
}

// empty reports whether a member is absent, null or an empty list.
func empty(member json.RawMessage) bool {
	text := strings.TrimSpace(string(member))
	return text == "" || text == "null" || text == "[]"
}

// chatShape is OpenAI's chat completion.
type chatShape struct {
	server   *Server
	logprobs bool
}

// completionBody is a chat or text completion, or one event of its stream.
type completionBody struct {
	ID            string       `json:"id"`
	Object        string       `json:"object"`
	Created       int64        `json:"created"`
	Model         string       `json:"model"`
	Choices       []choiceBody `json:"choices"`
	Usage         *usageBody   `json:"usage,omitempty"`
	Timings       *timingsBody `json:"timings,omitempty"`
	Warnings      []string     `json:"warnings,omitempty"`
	Demonstration bool         `json:"demonstration,omitempty"`
}

type choiceBody struct {
	Index        int                  `json:"index"`
	Message      *messageBody         `json:"message,omitempty"`
	Delta        *messageBody         `json:"delta,omitempty"`
	Text         *string              `json:"text,omitempty"`
	Logprobs     any                  `json:"logprobs"`
	FinishReason *engine.FinishReason `json:"finish_reason"`
}

type messageBody struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

func (s *Server) completion(g *generation, object string, choices ...choiceBody) *completionBody {
	return &completionBody{
		ID: g.id, Object: object, Created: g.created.Unix(), Model: s.name(), Choices: choices,
		Demonstration: s.info.Demonstration,
	}
}

// finished adds what is known at the end of a generation.
func (b *completionBody) finished(g *generation) *completionBody {
	usage, timings := g.usage(), g.timings()
	b.Usage, b.Timings, b.Warnings = &usage, &timings, g.warnings
	return b
}

func (h chatShape) whole(g *generation, choices []choice) any {
	body := h.server.completion(g, "chat.completion")
	for i := range choices {
		body.Choices = append(body.Choices, choiceBody{
			Index: i, Message: &messageBody{Role: "assistant", Content: &choices[i].text},
			Logprobs: h.logprobsOf(choices[i].tokens), FinishReason: &choices[i].finish,
		})
	}
	return body.finished(g)
}

func (h chatShape) first(g *generation, index int) any {
	nothing := ""
	return h.server.completion(g, "chat.completion.chunk", choiceBody{Index: index, Delta: &messageBody{Role: "assistant", Content: &nothing}})
}

func (h chatShape) piece(g *generation, index int, piece *choice) any {
	one := choiceBody{Index: index, Delta: &messageBody{}, Logprobs: h.logprobsOf(piece.tokens)}
	if piece.text != "" {
		one.Delta.Content = &piece.text
	}
	if piece.finish != "" {
		one.FinishReason = &piece.finish
	}
	return h.server.streamed(g, "chat.completion.chunk", one)
}

func (h chatShape) closing(g *generation) any {
	return h.server.usageEvent(g, "chat.completion.chunk")
}

// streamed returns an event of a running stream, with the usage so far if the client
// asked for it. The last event of a choice carries the warnings.
func (s *Server) streamed(g *generation, object string, one choiceBody) *completionBody {
	body := s.completion(g, object, one)
	if one.FinishReason != nil {
		body.Warnings = g.warnings
	}
	if g.fields.StreamOptions.ContinuousUsageStats {
		usage := g.usage()
		body.Usage = &usage
	}
	return body
}

// usageEvent returns the event without choices that carries the usage, or nil if the
// client did not ask for it.
func (s *Server) usageEvent(g *generation, object string) any {
	if !g.fields.StreamOptions.IncludeUsage {
		return nil
	}
	body := s.completion(g, object)
	body.Choices = []choiceBody{}
	return body.finished(g)
}

type tokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float32 `json:"logprob"`
	Bytes   []int   `json:"bytes"`
}

// drawnLogprob always has the list, even if it is empty: clients iterate over it.
type drawnLogprob struct {
	tokenLogprob
	Top []tokenLogprob `json:"top_logprobs"`
}

func (h chatShape) logprobsOf(tokens []engine.Token) any {
	if !h.logprobs {
		return nil
	}
	content := make([]drawnLogprob, len(tokens))
	for i, token := range tokens {
		content[i] = drawnLogprob{h.server.logprob(token.ID, token.Logprob), []tokenLogprob{}}
		for _, candidate := range token.Top {
			content[i].Top = append(content[i].Top, h.server.logprob(candidate.ID, candidate.Logprob))
		}
	}
	return map[string]any{"content": content}
}

func (s *Server) logprob(id int32, value float32) tokenLogprob {
	piece := s.tokenizer.Piece(id)
	bytes := make([]int, len(piece)) // a []byte would become base64
	for i, one := range piece {
		bytes[i] = int(one)
	}
	return tokenLogprob{Token: string(piece), Logprob: value, Bytes: bytes}
}
