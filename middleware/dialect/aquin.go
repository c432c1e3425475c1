package dialect

import (
	"encoding/json"
	"strings"
)

var aquin = description{
	name: "aquin",
	refusal: func(r *Refusal, _ int) any {
		return aquinError{r.short(), r.RetryMilliseconds(), r.Bound}
	},
	failures: []int{502, 503}, // the InferenceError of its clients
}

// inferSpec has two paths: released clients use both.
var inferSpec = Spec{
	Dialect: Aquin, Class: "infer", Method: "POST", Paths: []string{"/api/infer", "/api/v1/model"},
	Permission: PermissionInference, ModelOptional: true,
	request: requestShape{
		cap:    capShape{name: "max_tokens", obeyed: setOf(memberMaxTokens), absent: 512},
		stream: streamRefused,
	},
	translation: &translation{messages: aquinMessages, answer: aquinAnswer, temperature: 0.7},
}

type aquinError struct {
	Error      string `json:"error"`
	RetryAfter int64  `json:"retry_after_ms,omitempty"`
	Limit      *Bound `json:"limit,omitempty"`
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

func aquinAnswer(a *Answer) any {
	return struct {
		Text      string `json:"text"`
		TokensIn  int64  `json:"tokens_in"`
		TokensOut int64  `json:"tokens_out"`
	}{a.Text, a.InputTokens, a.OutputTokens}
}
