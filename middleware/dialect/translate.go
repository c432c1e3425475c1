package dialect

import (
	"encoding/json"
	"errors"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

const maxTemperature = 2

// translation turns the calls and replies of a dialect into OpenAI chat completions
// and back.
type translation struct {
	messages    func(body []byte) ([]json.RawMessage, error)
	answer      func(answer *Answer) any // the reply, to be encoded as JSON
	temperature float64                  // of a call that sets none; 0: the upstream's
}

// chatRequest is the OpenAI chat call that a translated call becomes.
type chatRequest struct {
	Model     string            `json:"model,omitempty"`
	Messages  []json.RawMessage `json:"messages"`
	MaxTokens int64             `json:"max_tokens,omitempty"`
	settings
	Stream        bool           `json:"stream,omitempty"`
	StreamOptions *streamOptions `json:"stream_options,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// settings are the members that both translated dialects share with OpenAI's.
type settings struct {
	Temperature    *float64        `json:"temperature,omitempty"`
	TopP           json.RawMessage `json:"top_p,omitempty"`
	Stop           json.RawMessage `json:"stop,omitempty"`
	Seed           json.RawMessage `json:"seed,omitempty"`
	ResponseFormat json.RawMessage `json:"response_format,omitempty"`
	Tools          json.RawMessage `json:"tools,omitempty"`
	ToolChoice     json.RawMessage `json:"tool_choice,omitempty"`
}

// dropNulls leaves out what a client sent as null: some servers reject a null as a
// wrong type.
func (s *settings) dropNulls() {
	for _, member := range []*json.RawMessage{&s.TopP, &s.Stop, &s.Seed, &s.ResponseFormat, &s.Tools, &s.ToolChoice} {
		*member = absentIfNull(*member)
	}
}

// ChatCall is the OpenAI chat completion that a translated call becomes.
type ChatCall struct{ request chatRequest }

// ToChat reads the body of a translated call as an OpenAI chat completion. model is
// the name that the upstream knows.
func (c *Call) ToChat(body []byte, model string) (*ChatCall, error) {
	translation := c.Route.Spec.translation
	messages, err := translation.messages(body)
	if err != nil {
		return nil, err
	}
	var given settings
	if err := decode(body, &given); err != nil {
		return nil, err
	}
	if given.Temperature == nil && translation.temperature != 0 {
		given.Temperature = &translation.temperature
	}
	if given.Temperature != nil && (*given.Temperature < 0 || *given.Temperature > maxTemperature) {
		return nil, badMember("temperature", "must be from 0 to %d", maxTemperature)
	}
	given.dropNulls()
	chat := chatRequest{Model: model, Messages: messages, settings: given, Stream: c.Stream}
	if c.Stream {
		chat.StreamOptions = &streamOptions{IncludeUsage: true}
	}
	return &ChatCall{chat}, nil
}

// Body returns the body that goes to the upstream, with a cap in tokens.
func (c *ChatCall) Body(outputCap int64) []byte {
	c.request.MaxTokens = outputCap
	body, err := json.Marshal(&c.request)
	if err != nil { // nothing but texts, finite numbers and members that were JSON before
		panic(err)
	}
	return body
}

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		var mistake *json.UnmarshalTypeError
		if errors.As(err, &mistake) {
			return badMember(mistake.Field, "has the wrong type")
		}
		return &RequestError{Message: jsonscan.ErrSyntax.Error()}
	}
	return nil
}

func absentIfNull(raw json.RawMessage) json.RawMessage {
	if jsonscan.IsNull(raw) {
		return nil
	}
	return raw
}

// message returns a chat message.
func message(role, content string) json.RawMessage {
	return json.RawMessage(`{"role":"` + role + `","content":` + string(jsonscan.Quote(content)) + `}`)
}

func checkMessages(name string, messages []json.RawMessage) error {
	for _, raw := range messages {
		var shape struct {
			Role *string `json:"role"`
		}
		if json.Unmarshal(raw, &shape) != nil || shape.Role == nil {
			return badMember(name, "must hold objects with a role and a content")
		}
	}
	return nil
}

// ChatText returns the text of the first answer of an OpenAI chat completion, or
// false if reply is not one.
func ChatText(reply []byte) (string, bool) {
	var shape struct {
		Choices []struct {
			Message *struct {
				Content *string `json:"content"`
			} `json:"message"`
		} `json:"choices"`
	}
	if json.Unmarshal(reply, &shape) != nil || len(shape.Choices) == 0 || shape.Choices[0].Message == nil {
		return "", false
	}
	if shape.Choices[0].Message.Content == nil {
		return "", true
	}
	return *shape.Choices[0].Message.Content, true
}

// Answer is the content of a translated reply.
type Answer struct {
	Text           string
	InputTokens    int64
	OutputTokens   int64
	RunSeconds     float64 // time from dispatch to the upstream's end
	CreditsCharged json.Number
	Model          string // as the caller named it
}

// Body returns the reply in the shape of a translated operation.
func (a Answer) Body(spec *Spec) []byte {
	body, err := json.Marshal(spec.translation.answer(&a))
	if err != nil { // nothing but texts and finite numbers
		panic(err)
	}
	return body
}
