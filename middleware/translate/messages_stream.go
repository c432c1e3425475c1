package translate

import "encoding/json"

// part is what a block of a streamed answer holds.
type part uint8

const (
	partNone part = iota
	partText
	partThinking
	partTool
	partRefusal
)

// messagesStream makes the events of the Messages API. Its blocks come one after the other:
// each is ended before the next begins.
type messagesStream struct {
	index int  // of the open block, or of the next
	open  part // what it holds
}

// The events, in the order in which they come.
type (
	messageStart struct {
		Type    string  `json:"type"`
		Message message `json:"message"`
	}
	blockStart struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
		Block any    `json:"content_block"`
	}
	blockDelta struct {
		Type  string     `json:"type"`
		Index int        `json:"index"`
		Delta blockPiece `json:"delta"`
	}
	blockPiece struct {
		Type      string  `json:"type"`
		Text      *string `json:"text,omitempty"`
		Thinking  *string `json:"thinking,omitempty"`
		Signature *string `json:"signature,omitempty"`
		JSON      *string `json:"partial_json,omitempty"`
	}
	blockStop struct {
		Type  string `json:"type"`
		Index int    `json:"index"`
	}
	messageDelta struct {
		Type  string        `json:"type"`
		Delta messageEnd    `json:"delta"`
		Usage messagesUsage `json:"usage"`
	}
	messageEnd struct {
		Reason   string  `json:"stop_reason"`
		Sequence *string `json:"stop_sequence"`
	}
	bareEvent struct {
		Type string `json:"type"`
	}
)

func (m *messagesStream) begin(s *Stream) {
	s.send("message_start", messageStart{"message_start", newMessage(s)})
	m.hidden(s)
}

func (m *messagesStream) hidden(s *Stream) { s.send("ping", bareEvent{"ping"}) }

func (m *messagesStream) text(s *Stream, text string) {
	m.to(s, partText, textBlock{Type: "text"})
	m.delta(s, blockPiece{Type: "text_delta", Text: &text})
}

// refusal tells why the model refuses: the Messages API has no part of its own for it.
func (m *messagesStream) refusal(s *Stream, text string) { m.text(s, text) }

func (m *messagesStream) thinking(s *Stream, text string) {
	m.to(s, partThinking, thinkingBlock{Type: "thinking"})
	m.delta(s, blockPiece{Type: "thinking_delta", Thinking: &text})
}

func (m *messagesStream) tool(s *Stream, id, name string) {
	m.close(s)
	m.to(s, partTool, toolBlock{Type: "tool_use", ID: id, Name: name, Input: json.RawMessage("{}")})
}

func (m *messagesStream) arguments(s *Stream, text string) {
	m.delta(s, blockPiece{Type: "input_json_delta", JSON: &text})
}

func (m *messagesStream) delta(s *Stream, piece blockPiece) {
	s.send("content_block_delta", blockDelta{"content_block_delta", m.index, piece})
}

// to sees to it that a block is open that holds what comes.
func (m *messagesStream) to(s *Stream, holds part, block any) {
	if m.open == holds {
		return
	}
	m.close(s)
	m.open = holds
	s.send("content_block_start", blockStart{"content_block_start", m.index, block})
}

func (m *messagesStream) close(s *Stream) {
	if m.open == partNone {
		return
	}
	if m.open == partThinking {
		signed := signature
		m.delta(s, blockPiece{Type: "signature_delta", Signature: &signed})
	}
	s.send("content_block_stop", blockStop{"content_block_stop", m.index})
	m.open = partNone
	m.index++
}

func (m *messagesStream) end(s *Stream, ending ending) {
	m.close(s)
	reason, sequence := s.stopped(ending)
	s.send("message_delta", messageDelta{"message_delta", messageEnd{reason, sequence}, usageOf(ending.usage)})
	s.send("message_stop", bareEvent{"message_stop"})
}
