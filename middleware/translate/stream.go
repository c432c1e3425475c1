package translate

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/penstockhq/penstock/middleware/dialect"
)

const (
	// maxEvent limits one event of an upstream, and maxAnswer what is kept of an answer
	// because the end of it must be repeated; both in bytes.
	maxEvent  = 8 << 20
	maxAnswer = 8 << 20
	// maxLate limits what may come after the end, in bytes. It is not read.
	maxLate = 64 << 10
	// maxTools limits the calls of tools in one answer.
	maxTools = 1024
	// pingEvery is how many pieces that the caller does not see stand for one ping.
	pingEvery = 32
)

// What makes a stream of chunks one that cannot be translated.
var (
	ErrNoChat      = errors.New("the upstream's reply is not a chat completion")
	ErrTooLarge    = errors.New("the upstream's answer is too large to be translated")
	errInterleaved = errors.New("the upstream goes on with a tool's call that it had ended")
	errNameless    = errors.New("the upstream calls a tool without a name")
	errTools       = errors.New("the upstream calls too many tools")
	errAfterEnd    = errors.New("the upstream kept sending after the end of its stream")
)

// shape makes an answer of the pieces of a chat completion. The methods are called in the
// order in which the pieces come; end is the last.
type shape interface {
	begin(s *Stream)
	thinking(s *Stream, text string)
	text(s *Stream, text string)
	refusal(s *Stream, text string)
	// tool begins a call of a tool, arguments goes on with it.
	tool(s *Stream, id, name string)
	arguments(s *Stream, text string)
	// hidden says that a piece came that the caller does not see.
	hidden(s *Stream)
	end(s *Stream, ending ending)
}

// ending is how an answer ended.
type ending struct {
	reason    string // finish_reason, empty if the upstream named none
	stop      string // the stop sequence that was found
	tools     bool   // tools are called
	usage     dialect.Usage
	reasoning int64 // the part of the output that are thoughts
}

// Stream turns the events of a chat completion into those of another API. It is for one
// answer and one goroutine.
type Stream struct {
	call   *Call
	answer Answer
	shape  shape

	rest []byte // an event whose end has not come
	out  []byte
	kept int // bytes that the shape keeps
	late int // bytes that came after the end

	begun, ended bool
	failure      []byte // the upstream's error
	pieces       int    // hidden ones

	reason, stop string
	reasoning    int64
	tools        []toolState
	current      int // the open call of a tool, -1: none
}

// toolState is a call of a tool, in the order of its beginning.
type toolState struct {
	index  number
	id     string
	opened bool // its name was read
}

// Stream returns what translates the events of the call's answer.
func (c *Call) Stream(answer Answer) *Stream {
	s := &Stream{call: c, answer: answer, current: -1}
	if c.api == Responses {
		s.shape = &responsesStream{}
	} else {
		s.shape = &messagesStream{}
	}
	return s
}

// Feed reads the next piece of the upstream's stream and returns the events that it makes.
// The bytes are valid until the next call. With an error come the events before it.
func (s *Stream) Feed(piece []byte) ([]byte, error) {
	s.out = s.out[:0]
	if s.ended || s.failure != nil {
		if s.late += len(piece); s.late > maxLate {
			return nil, errAfterEnd
		}
		return nil, nil
	}
	data := piece
	if len(s.rest) > 0 {
		if len(s.rest)+len(piece) > maxEvent {
			return nil, ErrTooLarge
		}
		s.rest = append(s.rest, piece...)
		data = s.rest
	}
	at, from := 0, max(len(data)-len(piece)-len("\r\n\r"), 0) // what stood before has no end
	for s.failure == nil {
		size := eventSize(data[at:], from)
		if size == 0 {
			break
		}
		from = 0
		if err := s.event(data[at : at+size]); err != nil {
			return s.out, err
		}
		at += size
	}
	if len(data)-at > maxEvent {
		return s.out, ErrTooLarge
	}
	if at > 0 || len(s.rest) == 0 {
		s.rest = append(s.rest[:0], data[at:]...)
	}
	return s.out, nil
}

// End returns the events that end the answer. usage is what the upstream has reported. It
// returns nothing for an answer that has ended or failed.
func (s *Stream) End(usage dialect.Usage) []byte {
	s.out = s.out[:0]
	if s.ended || s.failure != nil {
		return nil
	}
	s.begin()
	s.ended = true
	s.shape.end(s, ending{
		reason: s.reason, stop: s.stop, tools: len(s.tools) > 0, usage: usage, reasoning: s.reasoning,
	})
	return s.out
}

// Failure returns the event in which the upstream told of an error, nil if there was none.
func (s *Stream) Failure() []byte { return s.failure }

// eventSize returns the size of the event that data begins with, its blank line included,
// 0 if it has no end after from yet.
func eventSize(data []byte, from int) int {
	for {
		end := bytes.IndexAny(data[from:], "\r\n")
		if end < 0 {
			return 0
		}
		at := from + end + lineBreak(data[from+end:])
		if at < len(data) && (data[at] == '\n' || data[at] == '\r') {
			return at + lineBreak(data[at:])
		}
		from = at
	}
}

// lineBreak returns the size of the line break that data begins with.
func lineBreak(data []byte) int {
	if bytes.HasPrefix(data, []byte("\r\n")) {
		return 2
	}
	return 1
}

// event reads one event.
func (s *Stream) event(event []byte) error {
	blank := true
	for text := range dialect.EventTexts(event) {
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		blank = false
		if string(text) == "[DONE]" {
			continue
		}
		if err := s.chunk(text); err != nil || s.failure != nil {
			return err
		}
	}
	if blank && holdsComment(event) { // a sign of life, for the caller too
		s.out = append(s.out, ":\n\n"...)
	}
	return nil
}

// holdsComment says that a line of an event is a comment.
func holdsComment(event []byte) bool {
	return event[0] == ':' || bytes.Contains(event, []byte("\n:")) || bytes.Contains(event, []byte("\r:"))
}

// chunk reads one chunk.
func (s *Stream) chunk(data []byte) error {
	var chunk completion
	if err := json.Unmarshal(data, &chunk); err != nil && !errors.As(err, new(*json.UnmarshalTypeError)) {
		return ErrNoChat
	}
	if given(chunk.Error) {
		s.failure = bytes.Clone(data)
		return nil
	}
	if chunk.Usage != nil {
		s.reasoning = max(int64(chunk.Usage.Details.Reasoning), 0)
	}
	for i := range chunk.Choices {
		if one := &chunk.Choices[i]; one.Index == 0 {
			if err := s.choice(one); err != nil {
				return err
			}
		}
	}
	if s.kept > maxAnswer {
		return ErrTooLarge
	}
	return nil
}

func (s *Stream) begin() {
	if !s.begun {
		s.begun = true
		s.shape.begin(s)
	}
}

// choice reads what a chunk brings of the answer.
func (s *Stream) choice(one *choice) error {
	s.begin()
	piece := one.Delta
	if piece == nil {
		piece = one.Message
	}
	if one.Reason != "" {
		s.reason = string(one.Reason)
	}
	if stop := max(one.StopReason, one.MatchedStop); stop != "" {
		s.stop = string(stop)
	}
	if piece == nil {
		return nil
	}
	if thinking := piece.thinking(); thinking != "" {
		if s.call.thinking {
			s.close()
			s.shape.thinking(s, thinking)
		} else if s.pieces++; s.pieces%pingEvery == 1 {
			s.shape.hidden(s)
		}
	}
	if piece.Content != "" {
		s.close()
		s.shape.text(s, string(piece.Content))
	}
	if piece.Refusal != "" {
		s.close()
		s.shape.refusal(s, string(piece.Refusal))
	}
	for i := range piece.ToolCalls {
		if err := s.toolCall(&piece.ToolCalls[i]); err != nil {
			return err
		}
	}
	return nil
}

// close ends the open call of a tool.
func (s *Stream) close() { s.current = -1 }

// toolCall reads a piece of a tool's call. Servers that call several tools number them, or
// give each another id.
func (s *Stream) toolCall(piece *toolCall) error {
	at, known := s.findTool(piece)
	if !known {
		if len(s.tools) == maxTools {
			return errTools
		}
		at = len(s.tools)
		one := toolState{id: string(piece.ID)}
		if piece.Index != nil {
			one.index = *piece.Index
		}
		if one.id == "" {
			one.id = s.toolID(at)
		}
		s.tools = append(s.tools, one)
		s.current = at
	}
	one, arguments := &s.tools[at], string(piece.Function.Arguments)
	if at != s.current {
		if arguments == "" {
			return nil
		}
		return errInterleaved
	}
	if !one.opened && piece.Function.Name != "" {
		one.opened = true
		s.shape.tool(s, one.id, string(piece.Function.Name))
	}
	switch {
	case arguments == "":
	case !one.opened:
		return errNameless
	default:
		s.shape.arguments(s, arguments)
	}
	return nil
}

// findTool finds the call that a piece belongs to. A piece that names a function and has
// another id begins a new one, whatever its number.
func (s *Stream) findTool(piece *toolCall) (int, bool) {
	id, name := string(piece.ID), piece.Function.Name
	if piece.Index == nil {
		at := len(s.tools) - 1
		return at, at >= 0 && (name == "" || !s.tools[at].opened) && (id == "" || id == s.tools[at].id)
	}
	for at := len(s.tools) - 1; at >= 0; at-- {
		if s.tools[at].index == *piece.Index {
			return at, id == "" || name == "" || id == s.tools[at].id
		}
	}
	return 0, false
}

// toolID returns the id of a call that the upstream gave none.
func (s *Stream) toolID(at int) string {
	return "call_" + s.answer.ID + "_" + strconv.Itoa(at)
}

// send adds an event to what goes to the caller.
func (s *Stream) send(name string, data any) {
	s.out = append(append(append(s.out, "event: "...), name...), "\ndata: "...)
	s.out = append(append(s.out, encode(data)...), "\n\n"...)
}

// keep notes bytes that are kept until the end.
func (s *Stream) keep(text string) { s.kept += len(text) }
