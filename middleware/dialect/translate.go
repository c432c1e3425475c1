package dialect

import (
	"encoding/json"
	"strings"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// aquinOutputCap and aquinTemperature are what an Aquin call means that names
// none.
const (
	aquinOutputCap   = 512
	aquinTemperature = 0.7
	maxTemperature   = 2
)

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

// dropNulls leaves out what a client sent as null: some servers take it for a
// wrong type.
func (s *settings) dropNulls() {
	for _, member := range []*json.RawMessage{&s.TopP, &s.Stop, &s.Seed, &s.ResponseFormat, &s.Tools, &s.ToolChoice} {
		*member = absentIfNull(*member)
	}
}

// ChatCall is the OpenAI chat completion that a translated call becomes.
type ChatCall struct{ request chatRequest }

// ToChat reads the body of an Aquin or aiXplain call as an OpenAI chat
// completion. model is the name that the upstream knows.
func (c *Call) ToChat(body []byte, model string) (*ChatCall, error) {
	var messages []json.RawMessage
	var err error
	if c.Route.Name == Aquin {
		messages, err = aquinMessages(body)
	} else {
		messages, err = aixplainMessages(body)
	}
	if err != nil {
		return nil, err
	}
	var given settings
	if err := decode(body, &given); err != nil {
		return nil, err
	}
	if given.Temperature == nil && c.Route.Name == Aquin {
		temperature := aquinTemperature
		given.Temperature = &temperature
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
		if mistake, ok := err.(*json.UnmarshalTypeError); ok {
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

// aquinMessages reads prompt, system_prompt and messages. Released clients send
// messages, the prompt, or the same question in both forms: messages win.
func aquinMessages(body []byte) ([]json.RawMessage, error) {
	var given struct {
		Prompt       *string           `json:"prompt"`
		SystemPrompt *string           `json:"system_prompt"`
		Messages     []json.RawMessage `json:"messages"`
	}
	if err := decode(body, &given); err != nil {
		return nil, err
	}
	var messages []json.RawMessage
	if given.SystemPrompt != nil && *given.SystemPrompt != "" {
		messages = append(messages, message("system", *given.SystemPrompt))
	}
	switch {
	case len(given.Messages) > 0:
		if err := checkMessages("messages", given.Messages); err != nil {
			return nil, err
		}
		return append(messages, given.Messages...), nil
	case given.Prompt != nil && strings.TrimSpace(*given.Prompt) != "":
		return append(messages, message("user", *given.Prompt)), nil
	}
	return nil, &RequestError{Param: "prompt", Message: `"prompt" or "messages" is required`}
}

// aixplainMessages reads text or data: a string or a list of messages. The older
// client adds context (a system prompt), history and a prompt to put before data.
func aixplainMessages(body []byte) ([]json.RawMessage, error) {
	var given struct {
		Text    json.RawMessage   `json:"text"`
		Data    json.RawMessage   `json:"data"`
		Context *string           `json:"context"`
		Prompt  *string           `json:"prompt"`
		History []json.RawMessage `json:"history"`
	}
	if err := decode(body, &given); err != nil {
		return nil, err
	}
	name, input := "text", absentIfNull(given.Text)
	if input == nil {
		name, input = "data", absentIfNull(given.Data)
	}
	var messages []json.RawMessage
	if given.Context != nil && *given.Context != "" {
		messages = append(messages, message("system", *given.Context))
	}
	if err := checkMessages("history", given.History); err != nil {
		return nil, err
	}
	messages = append(messages, given.History...)
	if len(input) == 0 {
		return nil, &RequestError{Param: "text", Message: `"text" or "data" is required`}
	}
	switch input[0] {
	case '"':
		text := jsonscan.Unquote(input)
		if given.Prompt != nil && *given.Prompt != "" {
			text = *given.Prompt + "\n" + text
		}
		return append(messages, message("user", text)), nil
	case '[':
		var list []json.RawMessage
		if err := decode(input, &list); err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, badMember(name, "must not be empty")
		}
		if err := checkMessages(name, list); err != nil {
			return nil, err
		}
		return append(messages, list...), nil
	}
	return nil, badMember(name, "must be a string or a list of messages")
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
// false if reply is none.
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

// Answer is what a translated reply tells.
type Answer struct {
	Text           string
	InputTokens    int64
	OutputTokens   int64
	RunSeconds     float64 // time from dispatch to the upstream's end
	CreditsCharged json.Number
	Model          string // as the caller named it
}

// Body returns the reply in the shape of a translated dialect.
func (a Answer) Body(name Name) []byte {
	var shape any
	if name == Aquin {
		shape = struct {
			Text      string `json:"text"`
			TokensIn  int64  `json:"tokens_in"`
			TokensOut int64  `json:"tokens_out"`
		}{a.Text, a.InputTokens, a.OutputTokens}
	} else {
		shape = a.aixplain()
	}
	body, err := json.Marshal(shape)
	if err != nil { // nothing but texts and finite numbers
		panic(err)
	}
	return body
}

type aixplainRun struct {
	Status      string         `json:"status"`
	Completed   bool           `json:"completed"`
	Data        string         `json:"data"`
	RunTime     float64        `json:"runTime"`
	UsedCredits json.Number    `json:"usedCredits"`
	Usage       *aixplainUsage `json:"usage,omitempty"`
	Asset       *aixplainAsset `json:"asset,omitempty"`
}

type aixplainUsage struct {
	PromptTokens     int64 `json:"prompt_tokens"`
	CompletionTokens int64 `json:"completion_tokens"`
	TotalTokens      int64 `json:"total_tokens"`
}

type aixplainAsset struct {
	AssetID string `json:"assetId"`
	ID      string `json:"id"`
}

func (a Answer) aixplain() aixplainRun {
	return aixplainRun{
		Status: "SUCCESS", Completed: true, Data: a.Text, RunTime: a.RunSeconds, UsedCredits: a.CreditsCharged,
		Usage: &aixplainUsage{a.InputTokens, a.OutputTokens, a.InputTokens + a.OutputTokens},
		Asset: &aixplainAsset{a.Model, a.Model},
	}
}

// Started returns the reply to an aiXplain call that goes on in the background;
// its client asks at the address for the result.
func Started(address string) []byte {
	body, err := json.Marshal(struct {
		Status    string `json:"status"`
		Completed bool   `json:"completed"`
		Data      string `json:"data"`
	}{"IN_PROGRESS", false, address})
	if err != nil {
		panic(err)
	}
	return body
}

// Running returns the reply to a question for a result that is not there yet.
func Running() []byte { return []byte(`{"status":"IN_PROGRESS","completed":false}`) }

// Failed returns the reply to a question for the result of a run that failed.
// refused is the refusal in aiXplain's shape.
func Failed(refused []byte) []byte {
	failure := struct {
		Status    string `json:"status"`
		Completed bool   `json:"completed"`
		aixplainError
	}{Status: "FAILED", Completed: true}
	if json.Unmarshal(refused, &failure.aixplainError) != nil || failure.Error == "" {
		failure.StatusCode, failure.Message, failure.Error = 502, "the run failed", "the run failed"
	}
	body, err := json.Marshal(failure)
	if err != nil {
		panic(err)
	}
	return body
}
