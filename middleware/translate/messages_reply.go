package translate

import (
	"bytes"
	"encoding/json"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// signature stands where Anthropic's servers sign what the model thought. Clients send it
// back with the thought, and nobody here reads it.
const signature = "unsigned"

// message is a whole answer of the Messages API.
type message struct {
	ID           string        `json:"id"`
	Type         string        `json:"type"` // message
	Role         string        `json:"role"` // assistant
	Model        string        `json:"model"`
	Content      []any         `json:"content"` // textBlock, thinkingBlock or toolBlock
	StopReason   *string       `json:"stop_reason"`
	StopSequence *string       `json:"stop_sequence"`
	Usage        messagesUsage `json:"usage"`
}

type textBlock struct {
	Type string `json:"type"` // text
	Text string `json:"text"`
}

type thinkingBlock struct {
	Type      string `json:"type"` // thinking
	Thinking  string `json:"thinking"`
	Signature string `json:"signature"`
}

type toolBlock struct {
	Type  string          `json:"type"` // tool_use
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

type messagesUsage struct {
	Input     int64 `json:"input_tokens"` // without those that were cached
	Creation  int64 `json:"cache_creation_input_tokens"`
	CacheRead int64 `json:"cache_read_input_tokens"`
	Output    int64 `json:"output_tokens"`
}

func usageOf(usage dialect.Usage) messagesUsage {
	return messagesUsage{Input: usage.Input - usage.Cached, CacheRead: usage.Cached, Output: usage.Output}
}

func newMessage(s *Stream) message {
	return message{ID: "msg_" + s.answer.ID, Type: "message", Role: "assistant", Model: s.answer.Model, Content: []any{}}
}

// stopped returns why a message ended, in the words of the Messages API.
func (s *Stream) stopped(ending ending) (reason string, sequence *string) {
	for _, stop := range s.call.chat.Stop {
		if ending.stop == stop {
			return "stop_sequence", &stop
		}
	}
	switch {
	case ending.reason == "length":
		return "max_tokens", nil
	case ending.reason == "content_filter":
		return "refusal", nil
	case ending.tools:
		return "tool_use", nil
	}
	return "end_turn", nil
}

// messagesWhole makes a whole message.
type messagesWhole struct {
	message message
	pieces  bytes.Buffer // of a tool's arguments
	open    *toolBlock
}

func (m *messagesWhole) begin(s *Stream) { m.message = newMessage(s) }

func (m *messagesWhole) thinking(_ *Stream, text string) {
	m.add(&thinkingBlock{"thinking", text, signature})
}

func (m *messagesWhole) text(_ *Stream, text string) { m.add(&textBlock{"text", text}) }

// refusal tells why the model refuses: the Messages API has no part of its own for it.
func (m *messagesWhole) refusal(s *Stream, text string) { m.text(s, text) }

func (m *messagesWhole) tool(_ *Stream, id, name string) {
	block := &toolBlock{Type: "tool_use", ID: id, Name: name}
	m.add(block)
	m.open = block
}

func (m *messagesWhole) arguments(_ *Stream, text string) { m.pieces.WriteString(text) }

func (m *messagesWhole) hidden(*Stream) {}

// add ends the block that is open and adds another.
func (m *messagesWhole) add(block any) {
	if m.open != nil {
		m.open.Input = toolInput(m.pieces.Bytes())
		m.open = nil
		m.pieces.Reset()
	}
	if block != nil {
		m.message.Content = append(m.message.Content, block)
	}
}

func (m *messagesWhole) end(s *Stream, ending ending) {
	m.add(nil)
	reason, sequence := s.stopped(ending)
	m.message.StopReason, m.message.StopSequence, m.message.Usage = &reason, sequence, usageOf(ending.usage)
}

func (m *messagesWhole) object() any { return &m.message }

// toolInput returns a tool's arguments as an object. A model may write what is none, or be
// cut off; callers then find all of it under one name.
func toolInput(arguments []byte) json.RawMessage {
	text := bytes.TrimSpace(arguments)
	if len(text) == 0 {
		return json.RawMessage("{}")
	}
	if text[0] == '{' && json.Valid(text) {
		return bytes.Clone(text)
	}
	return encode(map[string]string{"INVALID_JSON": string(arguments)})
}
