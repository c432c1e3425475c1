package translate

import (
	"bytes"
	"encoding/json"
	"strings"
)

// chatRequest is the chat completion that a call becomes.
type chatRequest struct {
	Model             string          `json:"model,omitempty"`
	Messages          []chatMessage   `json:"messages"`
	MaxTokens         int64           `json:"max_tokens,omitempty"`
	Temperature       *float64        `json:"temperature,omitempty"`
	TopP              *float64        `json:"top_p,omitempty"`
	TopK              *int64          `json:"top_k,omitempty"` // not OpenAI's, but known to nearly all servers
	Stop              []string        `json:"stop,omitempty"`
	Tools             []chatTool      `json:"tools,omitempty"`
	ToolChoice        any             `json:"tool_choice,omitempty"` // a word or a chatTool
	ParallelToolCalls *bool           `json:"parallel_tool_calls,omitempty"`
	ResponseFormat    *responseFormat `json:"response_format,omitempty"`
	ReasoningEffort   string          `json:"reasoning_effort,omitempty"`
	User              string          `json:"user,omitempty"`
	Stream            bool            `json:"stream,omitempty"`
	StreamOptions     *streamOptions  `json:"stream_options,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
	Continuous   bool `json:"continuous_usage_stats,omitempty"`
}

// chatMessage is one message. Its content is null only beside calls of tools.
type chatMessage struct {
	Role       string         `json:"role"`
	Content    any            `json:"content"` // a text, a list of chatPart, or nil
	Reasoning  string         `json:"reasoning_content,omitempty"`
	ToolCalls  []chatToolCall `json:"tool_calls,omitempty"`
	ToolCallID string         `json:"tool_call_id,omitempty"`
}

// chatPart is a part of a message's content.
type chatPart struct {
	Type     string    `json:"type"`
	Text     string    `json:"text,omitempty"`
	ImageURL *chatURL  `json:"image_url,omitempty"`
	File     *chatFile `json:"file,omitempty"`
}

type chatURL struct {
	URL    string `json:"url"`
	Detail string `json:"detail,omitempty"`
}

type chatFile struct {
	Name string `json:"filename,omitempty"`
	Data string `json:"file_data"`
}

type chatTool struct {
	Type     string       `json:"type"` // function
	Function chatFunction `json:"function"`
}

type chatFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"`
	Strict      *bool           `json:"strict,omitempty"`
}

type chatToolCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"` // function
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

func newToolCall(id, name, arguments string) chatToolCall {
	call := chatToolCall{ID: id, Type: "function"}
	call.Function.Name, call.Function.Arguments = name, arguments
	return call
}

type responseFormat struct {
	Type   string      `json:"type"`
	Schema *jsonSchema `json:"json_schema,omitempty"`
}

type jsonSchema struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"schema"`
	Strict      *bool           `json:"strict,omitempty"`
}

func textPart(text string) chatPart { return chatPart{Type: "text", Text: text} }

func imagePart(url, detail string) chatPart {
	return chatPart{Type: "image_url", ImageURL: &chatURL{url, detail}}
}

// content returns the parts as a message's content. Texts alone become one text: not all
// servers and templates take a list.
func content(parts []chatPart) any {
	texts := make([]string, len(parts))
	for i := range parts {
		if parts[i].Type != "text" {
			return parts
		}
		texts[i] = parts[i].Text
	}
	return strings.Join(texts, "\n")
}

// separate takes the texts apart from the other parts, which a chat allows to users only.
func separate(parts []chatPart) (texts, others []chatPart) {
	for _, part := range parts {
		if part.Type == "text" {
			texts = append(texts, part)
		} else {
			others = append(others, part)
		}
	}
	return texts, others
}

// encode returns value as JSON, with < and > as they are.
func encode(value any) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil { // nothing but texts, finite numbers and what was JSON
		panic(err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}
