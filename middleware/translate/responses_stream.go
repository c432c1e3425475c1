package translate

import (
	"strconv"
	"strings"
)

// responsesStream makes the events of the Responses API. Its items come one after the
// other: each is ended before the next begins. What the items hold is kept, because the
// events at the end of each of them, and the last event of all, repeat it.
type responsesStream struct {
	quiet    bool // no events: the answer is one object
	events   int  // that have a number
	response response
	open     part // what the open item holds

	id     string          // of the open item
	pieces strings.Builder // its content
	callID string          // of the tool's call
	name   string          // of the tool
}

// The events. Those of a part's text have one shape: members that an event does not have
// are left out.
type (
	responseEvent struct {
		Type     string    `json:"type"`
		Sequence int       `json:"sequence_number"`
		Response *response `json:"response"`
	}
	itemEvent struct {
		Type     string `json:"type"`
		Sequence int    `json:"sequence_number"`
		Index    int    `json:"output_index"`
		Item     any    `json:"item"`
	}
	partEvent struct {
		Type     string `json:"type"`
		Sequence int    `json:"sequence_number"`
		ItemID   string `json:"item_id"`
		Index    int    `json:"output_index"`
		Content  int    `json:"content_index"`
		Part     any    `json:"part"`
	}
	textEvent struct {
		Type      string      `json:"type"`
		Sequence  int         `json:"sequence_number"`
		ItemID    string      `json:"item_id"`
		Index     int         `json:"output_index"`
		Content   *int        `json:"content_index,omitempty"`
		Delta     *string     `json:"delta,omitempty"`
		Text      *string     `json:"text,omitempty"`
		Refusal   *string     `json:"refusal,omitempty"`
		Name      string      `json:"name,omitempty"`
		Arguments *string     `json:"arguments,omitempty"`
		Logprobs  *[]struct{} `json:"logprobs,omitempty"`
	}
)

// next numbers an event.
func (r *responsesStream) next() int {
	r.events++
	return r.events - 1
}

func (r *responsesStream) send(s *Stream, name string, data any) {
	if !r.quiet {
		s.send(name, data)
	}
}

func (r *responsesStream) state(s *Stream, name string) {
	r.send(s, name, responseEvent{name, r.next(), &r.response})
}

func (r *responsesStream) begin(s *Stream) {
	r.response = newResponse(s)
	r.state(s, "response.created")
	r.state(s, "response.in_progress")
}

// hidden does not happen: the caller sees all.
func (r *responsesStream) hidden(*Stream) {}

func (r *responsesStream) thinking(s *Stream, text string) {
	r.to(s, partThinking)
	r.delta(s, "response.reasoning_text.delta", text)
}

func (r *responsesStream) text(s *Stream, text string) {
	r.to(s, partText)
	r.delta(s, "response.output_text.delta", text)
}

func (r *responsesStream) refusal(s *Stream, text string) {
	r.to(s, partRefusal)
	r.delta(s, "response.refusal.delta", text)
}

func (r *responsesStream) tool(s *Stream, id, name string) {
	r.close(s, "completed")
	r.callID, r.name = id, name
	s.keep(id + name)
	r.to(s, partTool)
}

func (r *responsesStream) arguments(s *Stream, text string) {
	r.delta(s, "response.function_call_arguments.delta", text)
}

// delta sends a piece and keeps it.
func (r *responsesStream) delta(s *Stream, name, text string) {
	s.keep(text)
	r.pieces.WriteString(text)
	event := r.about(name)
	event.Delta = &text
	r.send(s, name, event)
}

// about returns an event about the text of the open item.
func (r *responsesStream) about(name string) textEvent {
	event := textEvent{Type: name, Sequence: r.next(), ItemID: r.id, Index: len(r.response.Output)}
	if r.open != partTool {
		event.Content = new(int)
	}
	if r.open == partText {
		event.Logprobs = &[]struct{}{}
	}
	return event
}

// to sees to it that an item is open that holds what comes.
func (r *responsesStream) to(s *Stream, holds part) {
	if r.open == holds {
		return
	}
	r.close(s, "completed")
	r.open = holds
	r.id = map[part]string{
		partText: "msg_", partRefusal: "msg_", partThinking: "rs_", partTool: "fc_",
	}[holds] + s.answer.ID + "_" + strconv.Itoa(len(r.response.Output))
	item, _ := r.item("in_progress", false)
	r.send(s, "response.output_item.added", itemEvent{"response.output_item.added", r.next(), len(r.response.Output), item})
	if holds != partTool {
		r.partEvent(s, "response.content_part.added", r.part(""))
	}
}

func (r *responsesStream) partEvent(s *Stream, name string, part any) {
	r.send(s, name, partEvent{Type: name, Sequence: r.next(), ItemID: r.id, Index: len(r.response.Output), Part: part})
}

// part returns the part of the open item with a text.
func (r *responsesStream) part(text string) any {
	switch r.open {
	case partRefusal:
		return refusalPart{"refusal", text}
	case partThinking:
		return reasoningBit{"reasoning_text", text}
	}
	return newOutputText(text)
}

// item returns the open item and its text; filled says that it holds that.
func (r *responsesStream) item(status string, filled bool) (item any, text string) {
	if filled {
		text = r.pieces.String()
	}
	switch r.open {
	case partTool:
		return functionItem{ID: r.id, Type: "function_call", Status: status, CallID: r.callID, Name: r.name, Arguments: text}, text
	case partThinking:
		thought := reasoningItem{ID: r.id, Type: "reasoning", Status: status, Summary: []struct{}{}, Content: []reasoningBit{}}
		if filled {
			thought.Content = append(thought.Content, reasoningBit{"reasoning_text", text})
		}
		return thought, text
	}
	message := messageItem{ID: r.id, Type: "message", Status: status, Role: "assistant", Content: []any{}}
	if filled {
		message.Content = append(message.Content, r.part(text))
	}
	return message, text
}

// close ends the open item.
func (r *responsesStream) close(s *Stream, status string) {
	if r.open == partNone {
		return
	}
	item, text := r.item(status, true)
	name := map[part]string{
		partText: "response.output_text.done", partRefusal: "response.refusal.done",
		partThinking: "response.reasoning_text.done", partTool: "response.function_call_arguments.done",
	}[r.open]
	event := r.about(name)
	switch r.open {
	case partTool:
		event.Name, event.Arguments = r.name, &text
	case partRefusal:
		event.Refusal = &text
	default:
		event.Text = &text
	}
	r.send(s, name, event)
	if r.open != partTool {
		r.partEvent(s, "response.content_part.done", r.part(text))
	}
	r.send(s, "response.output_item.done", itemEvent{"response.output_item.done", r.next(), len(r.response.Output), item})
	r.response.Output = append(r.response.Output, item)
	r.open = partNone
	r.pieces.Reset()
}

func (r *responsesStream) end(s *Stream, ending ending) {
	r.response.finish(ending)
	status := r.response.Status
	r.response.Status = "in_progress" // until the last item has ended
	r.close(s, status)
	r.response.Status = status
	r.state(s, "response."+status)
}

func (r *responsesStream) object() any { return &r.response }
