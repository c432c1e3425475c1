package translate

import (
	"encoding/json"
	"fmt"
	"strings"
)

// event is an event as clients read it.
type event struct {
	Type     string `json:"type"`
	Index    int    `json:"index"`
	Sequence *int   `json:"sequence_number"`
	Output   int    `json:"output_index"`
	ItemID   string `json:"item_id"`
	Block    struct {
		Type string `json:"type"`
	} `json:"content_block"`
	Delta     json.RawMessage `json:"delta"`
	Text      *string         `json:"text"`
	Refusal   *string         `json:"refusal"`
	Arguments *string         `json:"arguments"`
	Item      struct {
		ID, Type, Status string
		Arguments        *string
		Content          []map[string]any
	} `json:"item"`
	Part struct {
		Type string `json:"type"`
	} `json:"part"`
	Response struct {
		Status string
		Output []struct{ ID string }
		Usage  *struct{}
	} `json:"response"`
}

// events reads a stream. A name of its own and the type in the data must be the same.
func events(stream string) (list []event, problem string) {
	for _, one := range strings.Split(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		if one == ":" || one == "" {
			continue
		}
		name, data, ok := strings.Cut(one, "\ndata: ")
		var read event
		if !ok || json.Unmarshal([]byte(data), &read) != nil || name != "event: "+read.Type {
			return nil, fmt.Sprintf("not an event: %q", one)
		}
		list = append(list, read)
	}
	return list, ""
}

// validate says what is wrong with a stream of an API, nothing if it follows the grammar.
// complete says that it must have its end; one that is cut off must not.
func validate(api APIs, stream string, complete bool) string {
	list, problem := events(stream)
	if problem != "" {
		return problem
	}
	if api == Responses {
		return (&responsesGrammar{}).read(list, complete)
	}
	return messagesGrammar(list, complete)
}

// messagesGrammar is: message_start, then blocks one after the other, each with pieces of
// its own kind, then message_delta and message_stop; pings anywhere but first and last.
func messagesGrammar(list []event, complete bool) string {
	begun, open, next, delta, stop := false, "", 0, false, false
	pieces := map[string][]string{
		"text": {"text_delta"}, "thinking": {"thinking_delta", "signature_delta"}, "tool_use": {"input_json_delta"},
	}
	for i, one := range list {
		if !begun && one.Type != "message_start" || stop {
			return fmt.Sprintf("event %d, %s, stands before the start or behind the end", i, one.Type)
		}
		var piece struct{ Type string }
		_ = json.Unmarshal(one.Delta, &piece)
		var ok bool
		switch one.Type {
		case "message_start":
			ok, begun = !begun, true
		case "ping":
			ok = !delta
		case "content_block_start":
			ok = open == "" && one.Index == next && pieces[one.Block.Type] != nil && !delta
			open = one.Block.Type
		case "content_block_delta":
			ok = open != "" && one.Index == next && strings.Contains(strings.Join(pieces[open], " "), piece.Type) && piece.Type != ""
		case "content_block_stop":
			ok, open = open != "" && one.Index == next, ""
			next++
		case "message_delta":
			ok, delta = open == "" && !delta, true
		case "message_stop":
			ok, stop = delta, true
		default:
			ok = false
		}
		if !ok {
			return fmt.Sprintf("event %d, %s, does not belong there", i, one.Type)
		}
	}
	if stop != complete {
		return fmt.Sprintf("complete %v, want %v", stop, complete)
	}
	return ""
}

// responsesGrammar is: created and in_progress, then items one after the other, each with
// its part and pieces, which its last events repeat, then the response with all items.
type responsesGrammar struct {
	item, part string // what is open
	id, text   string
	items      []string
	ended      bool
}

func (g *responsesGrammar) read(list []event, complete bool) string {
	for i, one := range list {
		if one.Sequence == nil || *one.Sequence != i {
			return fmt.Sprintf("event %d, %s, has the number %v", i, one.Type, one.Sequence)
		}
		if g.ended || (i == 0) != (one.Type == "response.created") || (i == 1) != (one.Type == "response.in_progress") {
			return fmt.Sprintf("event %d, %s, stands before the start or behind the end", i, one.Type)
		}
		if i > 1 && !g.follows(&one) {
			return fmt.Sprintf("event %d, %s, does not belong there: %+v", i, one.Type, g)
		}
	}
	if g.ended != complete {
		return fmt.Sprintf("complete %v, want %v", g.ended, complete)
	}
	return ""
}

func (g *responsesGrammar) follows(one *event) bool {
	here := one.Output == len(g.items) && (one.ItemID == "" || one.ItemID == g.id)
	var piece string
	_ = json.Unmarshal(one.Delta, &piece)
	switch one.Type {
	case "response.output_item.added":
		ok := g.item == "" && here && one.Item.Status == "in_progress" && one.Item.ID != ""
		g.item, g.id, g.part, g.text = one.Item.Type, one.Item.ID, "", ""
		return ok
	case "response.content_part.added":
		g.part = one.Part.Type
		return here && (g.item == "message" && (g.part == "output_text" || g.part == "refusal") || g.item == "reasoning" && g.part == "reasoning_text")
	case "response.output_text.delta", "response.refusal.delta", "response.reasoning_text.delta":
		g.text += piece
		return here && strings.Contains(one.Type, g.part) && g.part != ""
	case "response.function_call_arguments.delta":
		g.text += piece
		return here && g.item == "function_call"
	case "response.output_text.done", "response.reasoning_text.done":
		return here && one.Text != nil && *one.Text == g.text
	case "response.refusal.done":
		return here && one.Refusal != nil && *one.Refusal == g.text
	case "response.function_call_arguments.done":
		return here && one.Arguments != nil && *one.Arguments == g.text
	case "response.content_part.done":
		return here && one.Part.Type == g.part
	case "response.output_item.done":
		ok := here && one.Item.ID == g.id && one.Item.Type == g.item && (one.Item.Status == "completed" || one.Item.Status == "incomplete")
		g.items, g.item, g.id = append(g.items, one.Item.ID), "", ""
		return ok
	case "response.completed", "response.incomplete":
		g.ended = true
		ok := g.item == "" && "response."+one.Response.Status == one.Type && len(one.Response.Output) == len(g.items) && one.Response.Usage != nil
		for i, item := range one.Response.Output {
			ok = ok && item.ID == g.items[i]
		}
		return ok
	}
	return false
}
