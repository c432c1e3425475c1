package translate

import (
	"bytes"
	"encoding/json"
	"strings"
)

// completion is a chat completion, or a chunk of one. Servers differ in what they put into
// its members: what has another type than expected counts as absent.
type completion struct {
	Choices []choice        `json:"choices"`
	Usage   *chatUsage      `json:"usage"`
	Error   json.RawMessage `json:"error"`
}

type choice struct {
	Index   number `json:"index"`
	Message *delta `json:"message"`
	Delta   *delta `json:"delta"`
	Reason  text   `json:"finish_reason"`
	// The stop sequence that was found, in vLLM's and in SGLang's word.
	StopReason  text `json:"stop_reason"`
	MatchedStop text `json:"matched_stop"`
}

// delta is a piece of an answer, or the whole of it.
type delta struct {
	Content          text       `json:"content"`
	ReasoningContent text       `json:"reasoning_content"`
	Reasoning        text       `json:"reasoning"` // its name in Ollama and newer vLLM
	Refusal          text       `json:"refusal"`
	ToolCalls        []toolCall `json:"tool_calls"`
}

// thinking returns what the piece brings of the model's thoughts.
func (d *delta) thinking() string {
	if d.ReasoningContent != "" {
		return string(d.ReasoningContent)
	}
	return string(d.Reasoning)
}

type toolCall struct {
	Index    *number `json:"index"`
	ID       text    `json:"id"`
	Function struct {
		Name      text      `json:"name"`
		Arguments arguments `json:"arguments"`
	} `json:"function"`
}

type chatUsage struct {
	Details struct {
		Reasoning number `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// text is a text. A list of parts counts as its texts.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(raw []byte) error {
	var one string
	var parts []struct {
		Text string `json:"text"`
	}
	*t = ""
	switch raw[0] {
	case '"':
		if err := json.Unmarshal(raw, &one); err != nil {
			return err
		}
		*t = text(one)
	case '[':
		if json.Unmarshal(raw, &parts) == nil {
			var all strings.Builder
			for _, part := range parts {
				all.WriteString(part.Text)
			}
			*t = text(all.String())
		}
	}
	return nil
}

// arguments are those of a tool's call: JSON in a text, or the object itself.
type arguments string

// UnmarshalJSON implements json.Unmarshaler.
func (a *arguments) UnmarshalJSON(raw []byte) error {
	*a = ""
	switch raw[0] {
	case '"':
		var one string
		if err := json.Unmarshal(raw, &one); err != nil {
			return err
		}
		*a = arguments(one)
	case '{':
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			return err
		}
		*a = arguments(compact.String())
	}
	return nil
}

// number is a whole number, 0 where something else stands.
type number int64

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(raw []byte) error {
	var value int64
	if json.Unmarshal(raw, &value) != nil {
		value = 0
	}
	*n = number(value)
	return nil
}
