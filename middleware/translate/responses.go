package translate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// responsesRequest is the body of a call of the Responses API. What is not listed changes
// nothing that a chat completion could show. Nothing is stored, whatever store says: it
// only makes answers be found again later, which the gate refuses where it is asked for.
type responsesRequest struct {
	Input             json.RawMessage `json:"input"`
	Instructions      json.RawMessage `json:"instructions"`
	Tools             json.RawMessage `json:"tools"`
	ToolChoice        json.RawMessage `json:"tool_choice"`
	ParallelToolCalls *bool           `json:"parallel_tool_calls"`
	MaxOutputTokens   *int64          `json:"max_output_tokens"`
	Temperature       *float64        `json:"temperature"`
	TopP              *float64        `json:"top_p"`
	TopLogprobs       int             `json:"top_logprobs"`
	Text              json.RawMessage `json:"text"`
	Reasoning         json.RawMessage `json:"reasoning"`
	Truncation        string          `json:"truncation"`
	Include           []string        `json:"include"`
	User              string          `json:"user"`
	Metadata          json.RawMessage `json:"metadata"`
}

// item is one item of the input.
type item struct {
	Type      string          `json:"type"`
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Output    json.RawMessage `json:"output"`
	Summary   []itemPart      `json:"summary"`
}

// itemPart is a part of an item's content.
type itemPart struct {
	Type     string          `json:"type"`
	Text     string          `json:"text"`
	Refusal  string          `json:"refusal"`
	ImageURL string          `json:"image_url"`
	Detail   string          `json:"detail"`
	FileData string          `json:"file_data"`
	Filename string          `json:"filename"`
	FileID   json.RawMessage `json:"file_id"`
}

// readResponses reads a call of the Responses API.
func readResponses(body []byte) (*Call, error) {
	asked := new(responsesRequest)
	if err := decode(body, asked); err != nil {
		return nil, err
	}
	call := &Call{api: Responses, thinking: true, echo: asked, chat: chatRequest{
		Temperature: asked.Temperature, TopP: asked.TopP, User: asked.User,
	}}
	for _, step := range []func(*Call) error{
		asked.checkWishes, asked.conversation, asked.tools, asked.reasoning, asked.format,
	} {
		if err := step(call); err != nil {
			return nil, err
		}
	}
	return call, nil
}

// checkWishes refuses what a chat completion cannot do.
func (r *responsesRequest) checkWishes(*Call) error {
	switch {
	case r.Truncation != "" && r.Truncation != "disabled":
		return refuse("truncation", "must be disabled: this model's servers leave nothing out")
	case r.TopLogprobs > 0:
		return refuse("top_logprobs", "is not supported with this model")
	case slices.Contains(r.Include, "message.output_text.logprobs"):
		return refuse("include", "cannot hold message.output_text.logprobs with this model")
	}
	return nil
}

// conversation turns instructions and input into the messages of a chat.
func (r *responsesRequest) conversation(call *Call) error {
	chat := &chatBuilder{}
	if given(r.Instructions) {
		var text string
		if json.Unmarshal(r.Instructions, &text) != nil {
			return refuse("instructions", "must be a text")
		}
		if text != "" {
			chat.system(text)
		}
	}
	var text string
	var items []json.RawMessage
	switch {
	case !given(r.Input):
		return refuse("input", "is required")
	case json.Unmarshal(r.Input, &text) == nil:
		chat.add(chatMessage{Role: "user", Content: text})
	case json.Unmarshal(r.Input, &items) != nil || len(items) == 0:
		return refuse("input", "must be a text or a list of items")
	}
	for i, raw := range items {
		name := fmt.Sprintf("input[%d]", i)
		var one item
		if json.Unmarshal(raw, &one) != nil {
			return refuse(name, "must be an item with members of the right types")
		}
		if err := chat.item(&one, name); err != nil {
			return err
		}
	}
	chat.show()
	call.chat.Messages = chat.messages
	return nil
}

// chatBuilder makes the messages of a chat out of items.
type chatBuilder struct {
	messages []chatMessage
	thoughts []chatPart // that belong to the next message of the assistant
	pictures []chatPart // that tools returned, for a message of the user behind all results
}

func (c *chatBuilder) add(message chatMessage) {
	if message.Role != "tool" {
		c.show()
	}
	c.thoughts = nil
	c.messages = append(c.messages, message)
}

// show adds the pictures that tools returned, which a chat allows to users only.
func (c *chatBuilder) show() {
	if len(c.pictures) > 0 {
		c.messages = append(c.messages, chatMessage{Role: "user", Content: content(c.pictures)})
		c.pictures = nil
	}
}

// system adds to the message of the system at the beginning, or adds one later: many
// models know only the one at the beginning.
func (c *chatBuilder) system(text string) {
	if len(c.messages) == 1 && c.messages[0].Role == "system" {
		c.messages[0].Content = c.messages[0].Content.(string) + "\n\n" + text
		return
	}
	c.add(chatMessage{Role: "system", Content: text})
}

// item adds an item.
func (c *chatBuilder) item(one *item, name string) error {
	switch one.Type {
	case "", "message":
		return c.message(one, name)
	case "reasoning":
		return c.reasoning(one, name)
	case "function_call":
		c.call(one)
		return nil
	case "function_call_output":
		return c.output(one, name)
	case "item_reference":
		return refuse(name+".type", "cannot be item_reference: nothing is stored here; send the item itself")
	}
	return refuse(name+".type",
		"is not supported with this model: only message, reasoning, function_call and function_call_output are")
}

// message adds a message.
func (c *chatBuilder) message(one *item, name string) error {
	parts, err := contentParts(one.Content, name+".content")
	if err != nil {
		return err
	}
	switch one.Role {
	case "user":
		c.add(chatMessage{Role: "user", Content: content(parts)})
	case "system", "developer":
		text, ok := content(parts).(string)
		if !ok {
			return refuse(name+".content", "must hold texts only in a message of this role")
		}
		c.system(text)
	case "assistant":
		message := chatMessage{Role: "assistant", Content: content(parts)}
		message.Reasoning, _ = content(c.thoughts).(string)
		c.add(message)
	default:
		return refuse(name+".role", "must be user, assistant, system or developer")
	}
	return nil
}

// reasoning keeps what the model thought for the message that follows.
func (c *chatBuilder) reasoning(one *item, name string) error {
	parts, err := contentParts(one.Content, name+".content")
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		for _, part := range one.Summary {
			parts = append(parts, textPart(part.Text))
		}
	}
	c.thoughts = append(c.thoughts, parts...)
	return nil
}

// call adds a call of a tool to the message of the assistant that it belongs to.
func (c *chatBuilder) call(one *item) {
	call := newToolCall(one.CallID, one.Name, one.Arguments)
	if last := len(c.messages) - 1; last >= 0 && c.messages[last].Role == "assistant" && len(c.thoughts) == 0 && len(c.pictures) == 0 {
		c.messages[last].ToolCalls = append(c.messages[last].ToolCalls, call)
		return
	}
	message := chatMessage{Role: "assistant", ToolCalls: []chatToolCall{call}}
	message.Reasoning, _ = content(c.thoughts).(string)
	c.add(message)
}

// output adds the result of a tool.
func (c *chatBuilder) output(one *item, name string) error {
	parts, err := contentParts(one.Output, name+".output")
	if err != nil {
		return err
	}
	texts, pictures := separate(parts)
	c.pictures = append(c.pictures, pictures...)
	c.add(chatMessage{Role: "tool", Content: content(texts), ToolCallID: one.CallID})
	return nil
}

// contentParts returns a content, a text or a list of parts, as parts of a chat message.
func contentParts(raw json.RawMessage, name string) (parts []chatPart, err error) {
	var text string
	var list []itemPart
	switch {
	case !given(raw):
		return nil, nil
	case json.Unmarshal(raw, &text) == nil:
		return []chatPart{textPart(text)}, nil
	case json.Unmarshal(raw, &list) != nil:
		return nil, refuse(name, "must be a text or a list of parts")
	}
	for i := range list {
		part, err := list[i].chat(fmt.Sprintf("%s[%d]", name, i))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// chat returns a part as that of a chat message.
func (p *itemPart) chat(name string) (chatPart, error) {
	switch p.Type {
	case "input_text", "output_text", "reasoning_text", "summary_text", "text":
		return textPart(p.Text), nil
	case "refusal":
		return textPart(p.Refusal), nil
	case "input_image":
		if p.ImageURL == "" {
			return chatPart{}, refuse(name, "must have an image_url: no files are kept here")
		}
		return imagePart(p.ImageURL, p.Detail), nil
	case "input_file":
		if p.FileData == "" {
			return chatPart{}, refuse(name, "must have file_data: no files are kept or fetched here")
		}
		return chatPart{Type: "file", File: &chatFile{Name: p.Filename, Data: p.FileData}}, nil
	}
	return chatPart{}, refuse(name+".type", "is not supported with this model: only texts, input_image and input_file are")
}

// reasoning says how much the model shall think.
func (r *responsesRequest) reasoning(call *Call) (err error) {
	var wish struct {
		Effort string `json:"effort"`
	}
	if given(r.Reasoning) && json.Unmarshal(r.Reasoning, &wish) != nil {
		return refuse("reasoning", "must be an object with an effort")
	}
	call.chat.ReasoningEffort, err = effort("reasoning.effort", wish.Effort)
	return err
}

// format says which form the answer must have.
func (r *responsesRequest) format(call *Call) error {
	var wish struct {
		Format *struct {
			Type string `json:"type"`
			jsonSchema
		} `json:"format"`
	}
	if given(r.Text) && json.Unmarshal(r.Text, &wish) != nil {
		return refuse("text", "must be an object with a format")
	}
	if wish.Format == nil {
		return nil
	}
	switch format := wish.Format; format.Type {
	case "text":
	case "json_object":
		call.chat.ResponseFormat = &responseFormat{Type: format.Type}
	case "json_schema":
		if strings.TrimSpace(format.Name) == "" || !given(format.Schema) {
			return refuse("text.format", "must have a name and a schema")
		}
		call.chat.ResponseFormat = &responseFormat{Type: format.Type, Schema: &format.jsonSchema}
	default:
		return refuse("text.format.type", "must be text, json_object or json_schema")
	}
	return nil
}
