package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// messagesRequest is the body of a call of the Messages API. What is not listed changes
// nothing that a chat completion could show: how the prompt is cached, or at which priority
// the call runs.
type messagesRequest struct {
	System        blocks         `json:"system"`
	Messages      []turn         `json:"messages"`
	Tools         []messagesTool `json:"tools"`
	ToolChoice    *toolChoice    `json:"tool_choice"`
	StopSequences []string       `json:"stop_sequences"`
	Thinking      *struct {
		Type    string `json:"type"`
		Budget  int64  `json:"budget_tokens"`
		Display string `json:"display"`
	} `json:"thinking"`
	OutputConfig *struct {
		Effort string       `json:"effort"`
		Format *answerShape `json:"format"`
	} `json:"output_config"`
	OutputFormat *answerShape `json:"output_format"` // its name in the beta
	Metadata     *struct {
		UserID string `json:"user_id"`
	} `json:"metadata"`
	Temperature *float64        `json:"temperature"`
	TopP        *float64        `json:"top_p"`
	TopK        *int64          `json:"top_k"`
	Container   json.RawMessage `json:"container"`
	MCPServers  json.RawMessage `json:"mcp_servers"`
}

type turn struct {
	Role    string `json:"role"`
	Content blocks `json:"content"`
}

// blocks are a content: a list of blocks, or a text that stands for one.
type blocks []block

type block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	Source    json.RawMessage `json:"source"` // an object; a text in a search_result
	Title     string          `json:"title"`
	Context   string          `json:"context"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   blocks          `json:"content"`
	IsError   bool            `json:"is_error"`
}

type source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type"`
	Data      string `json:"data"`
	URL       string `json:"url"`
	Content   blocks `json:"content"`
}

type answerShape struct {
	Type   string          `json:"type"`
	Schema json.RawMessage `json:"schema"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *blocks) UnmarshalJSON(raw []byte) error {
	*b = nil
	switch raw[0] {
	case '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		*b = blocks{{Type: "text", Text: text}}
		return nil
	case '[':
		return json.Unmarshal(raw, (*[]block)(b))
	case 'n': // null
		return nil
	}
	return refuse("content", "must be a text or a list of blocks")
}

// readMessages reads a call of the Messages API.
func readMessages(body []byte) (*Call, error) {
	var given messagesRequest
	if err := decode(body, &given); err != nil {
		return nil, err
	}
	call := &Call{api: Messages, chat: chatRequest{
		Temperature: given.Temperature, TopP: given.TopP, TopK: given.TopK, Stop: given.StopSequences,
	}}
	if given.Metadata != nil {
		call.chat.User = given.Metadata.UserID
	}
	for _, step := range []func(*Call) error{
		given.checkServers, given.conversation, given.tools, given.thinking, given.format,
	} {
		if err := step(call); err != nil {
			return nil, err
		}
	}
	return call, nil
}

// checkServers refuses what only Anthropic's own servers do.
func (m *messagesRequest) checkServers(*Call) error {
	switch {
	case filled(m.Container):
		return refuse("container", "is not supported: this model's servers run no code")
	case filled(m.MCPServers):
		return refuse("mcp_servers", "is not supported: this model's servers call no other servers")
	}
	return nil
}

// conversation turns the messages into those of a chat.
func (m *messagesRequest) conversation(call *Call) error {
	if len(m.Messages) == 0 {
		return refuse("messages", "must hold at least one message")
	}
	if m.Messages[len(m.Messages)-1].Role == "assistant" {
		return refuse("messages", "must not end with a message of the assistant: this model's servers cannot go on with one")
	}
	if system := m.System.texts(); system != "" {
		call.chat.Messages = append(call.chat.Messages, chatMessage{Role: "system", Content: system})
	}
	for i, one := range m.Messages {
		var err error
		name := fmt.Sprintf("messages[%d]", i)
		switch one.Role {
		case "user":
			err = one.user(call, name)
		case "assistant":
			err = one.assistant(call, name)
		case "system":
			call.chat.Messages = append(call.chat.Messages, chatMessage{Role: "system", Content: one.Content.texts()})
		default:
			err = refuse(name+".role", "must be user or assistant")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// texts joins the texts of the blocks.
func (b blocks) texts() string {
	parts := make([]chatPart, 0, len(b))
	for i := range b {
		if b[i].Type == "text" {
			parts = append(parts, textPart(b[i].Text))
		}
	}
	text, _ := content(parts).(string)
	return text
}

// user adds a message of the user. The results of tools come first, each in a message of
// its own, because a chat wants them right behind the calls.
func (t *turn) user(call *Call, name string) error {
	var parts, pictures []chatPart
	for i := range t.Content {
		one, name := &t.Content[i], fmt.Sprintf("%s.content[%d]", name, i)
		if one.Type == "tool_result" {
			shown, err := one.result(call, name)
			if err != nil {
				return err
			}
			pictures = append(pictures, shown...)
			continue
		}
		part, err := one.parts(name)
		if err != nil {
			return err
		}
		parts = append(parts, part...)
	}
	if parts = append(pictures, parts...); len(parts) > 0 {
		call.chat.Messages = append(call.chat.Messages, chatMessage{Role: "user", Content: content(parts)})
	}
	return nil
}

// result adds the result of a tool. Its pictures, which a chat allows to users only, are
// returned.
func (b *block) result(call *Call, name string) (pictures []chatPart, err error) {
	var parts []chatPart
	if b.IsError {
		parts = append(parts, textPart("Error:")) // a chat has no other word for it
	}
	for i := range b.Content {
		part, err := b.Content[i].parts(fmt.Sprintf("%s.content[%d]", name, i))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part...)
	}
	texts, pictures := separate(parts)
	call.chat.Messages = append(call.chat.Messages, chatMessage{Role: "tool", Content: content(texts), ToolCallID: b.ToolUseID})
	return pictures, nil
}

// parts returns a block as parts of a chat message.
func (b *block) parts(name string) ([]chatPart, error) {
	switch b.Type {
	case "text":
		return []chatPart{textPart(b.Text)}, nil
	case "image", "document":
		var from source
		if err := decode(b.Source, &from); err != nil {
			return nil, refuse(name+".source", "must be an object")
		}
		if b.Type == "image" {
			return from.image(name)
		}
		return b.document(&from, name)
	case "search_result":
		var link string
		_ = json.Unmarshal(b.Source, &link)
		return []chatPart{textPart(titled(b.Content.texts(), b.Title, link))}, nil
	}
	return nil, refuse(name+".type", "is not supported with this model: only text, image, document, search_result and tool_result are")
}

// image returns a picture.
func (s *source) image(name string) ([]chatPart, error) {
	switch s.Type {
	case "base64":
		return []chatPart{imagePart("data:"+s.MediaType+";base64,"+s.Data, "")}, nil
	case "url":
		return []chatPart{imagePart(s.URL, "")}, nil
	}
	return nil, refuse(name+".source.type", "must be base64 or url: no files are kept here")
}

// document returns a document: a text as such, others as a file.
func (b *block) document(from *source, name string) ([]chatPart, error) {
	switch from.Type {
	case "text":
		return []chatPart{textPart(titled(from.Data, b.Title, b.Context))}, nil
	case "content":
		return []chatPart{textPart(titled(from.Content.texts(), b.Title, b.Context))}, nil
	case "base64":
		file := &chatFile{Name: b.Title, Data: "data:" + from.MediaType + ";base64," + from.Data}
		if file.Name == "" {
			file.Name = "document"
		}
		return []chatPart{{Type: "file", File: file}}, nil
	}
	return nil, refuse(name+".source.type", "must be text, content or base64: documents are not fetched from elsewhere here")
}

// titled puts what is said about a text in front of it.
func titled(text string, about ...string) string {
	var whole bytes.Buffer
	for _, line := range about {
		if line != "" {
			whole.WriteString(line + "\n")
		}
	}
	return whole.String() + text
}

// assistant adds a message of the assistant.
func (t *turn) assistant(call *Call, name string) error {
	var texts, thoughts []chatPart
	message := chatMessage{Role: "assistant"}
	for i := range t.Content {
		switch one := &t.Content[i]; one.Type {
		case "text":
			texts = append(texts, textPart(one.Text))
		case "thinking":
			thoughts = append(thoughts, textPart(one.Thinking))
		case "redacted_thinking": // readable only to those who made it
		case "tool_use":
			input := "{}"
			if given(one.Input) {
				var compact bytes.Buffer
				_ = json.Compact(&compact, one.Input) // it was decoded, so it is JSON
				input = compact.String()
			}
			message.ToolCalls = append(message.ToolCalls, newToolCall(one.ID, one.Name, input))
		default:
			return refuse(fmt.Sprintf("%s.content[%d].type", name, i),
				"is not supported with this model: only text, thinking, redacted_thinking and tool_use are")
		}
	}
	message.Reasoning, _ = content(thoughts).(string)
	if len(texts) > 0 || len(message.ToolCalls) == 0 {
		message.Content = content(texts)
	}
	call.chat.Messages = append(call.chat.Messages, message)
	return nil
}

// thinking says how much the model shall think, and whether the caller sees it: only where
// it asked to.
func (m *messagesRequest) thinking(call *Call) (err error) {
	if m.OutputConfig != nil {
		if call.chat.ReasoningEffort, err = effort("output_config.effort", m.OutputConfig.Effort); err != nil {
			return err
		}
	}
	if m.Thinking == nil {
		return nil
	}
	switch m.Thinking.Type {
	case "enabled":
		if call.chat.ReasoningEffort == "" {
			call.chat.ReasoningEffort = budgetEffort(m.Thinking.Budget)
		}
	case "adaptive":
	case "disabled":
		return nil
	default:
		return refuse("thinking.type", "must be enabled, adaptive or disabled")
	}
	call.thinking = m.Thinking.Display != "omitted"
	return nil
}

// budgetEffort returns the effort that a budget in tokens comes closest to. A chat
// completion has no budget; its output cap holds as a whole.
func budgetEffort(budget int64) string {
	switch {
	case budget <= 2048:
		return "low"
	case budget <= 8192:
		return "medium"
	}
	return "high"
}

// format says that the answer must fit a schema.
func (m *messagesRequest) format(call *Call) error {
	shape, name := m.OutputFormat, "output_format"
	if m.OutputConfig != nil && m.OutputConfig.Format != nil {
		shape, name = m.OutputConfig.Format, "output_config.format"
	}
	switch {
	case shape == nil:
		return nil
	case shape.Type != "json_schema" || !given(shape.Schema):
		return refuse(name, "must be of type json_schema and have a schema")
	}
	strict := true
	call.chat.ResponseFormat = &responseFormat{
		Type: "json_schema", Schema: &jsonSchema{Name: "answer", Schema: shape.Schema, Strict: &strict},
	}
	return nil
}
