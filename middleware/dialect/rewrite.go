package dialect

import (
	"strconv"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// Rewrite says what the gate changes in a request before it goes to an upstream.
type Rewrite struct {
	Model           string // name that the upstream knows; empty: leave it
	OutputCap       int64  // tokens of one answer, written if the caller set no cap; 0: leave it
	IncludeUsage    bool   // make a stream report its usage
	ContinuousUsage bool   // and on every chunk; for servers that know it
	// Memory returns a slice of this size for the changed body; nil: allocate one.
	Memory func(size int) []byte
}

// Apply returns the body with the changes, or body itself if there are none.
// Only the bytes of changed members differ: numbers keep their precision and members
// their order, so that the beginning of a prompt still matches, byte for byte, what
// the upstream has cached.
func (c *Call) Apply(body []byte, rewrite Rewrite) []byte {
	var edits edits
	var nested []byte // members for the object of nested options
	if rewrite.Model != "" && rewrite.Model != c.Model {
		c.set(&edits, c.fields.model, "model", jsonscan.Quote(rewrite.Model))
	}
	if rewrite.OutputCap > 0 && !c.fields.capped {
		nested = c.setCap(&edits, rewrite.OutputCap)
	}
	if rewrite.IncludeUsage && c.Stream {
		switch c.Route.Spec.request.usage {
		case usageStreamOptions:
			c.setStreamOptions(&edits, body, rewrite.ContinuousUsage)
		case usageDetails:
			nested = c.setDetails(&edits, nested)
		}
	}
	if nested != nil {
		c.setNested(&edits, body, nested)
	}
	return edits.apply(body, rewrite.Memory)
}

// set replaces a member's value, or adds the member at the front of the object.
func (c *Call) set(edits *edits, place jsonscan.Span, name string, value []byte) {
	if place.End > 0 {
		edits.add(place, value)
		return
	}
	edits.addMember(c.fields.object, name, value)
}

// setCap writes the cap, or returns the member if it belongs to nested options.
func (c *Call) setCap(edits *edits, limit int64) []byte {
	shape := &c.Route.Spec.request.cap
	value := strconv.AppendInt(nil, limit, 10)
	switch {
	case c.fields.cap.End > 0:
		edits.add(c.fields.cap, value)
	case shape.within == memberNone:
		c.set(edits, jsonscan.Span{}, shape.name, value)
	default:
		return append([]byte(`"`+shape.name+`":`), value...)
	}
	return nil
}

// setDetails makes TGI report its counts on the last event.
func (c *Call) setDetails(edits *edits, nested []byte) []byte {
	if c.IncludeUsage {
		return nested
	}
	if c.fields.details.End > 0 {
		edits.add(c.fields.details, []byte("true"))
		return nested
	}
	if nested != nil {
		nested = append(nested, ',')
	}
	return append(nested, `"details":true`...)
}

// setNested adds members to the object of nested options, which may be absent
// or null.
func (c *Call) setNested(edits *edits, body, members []byte) {
	object := c.fields.options
	if object.End > 0 && body[object.Start] == '{' {
		edits.add(jsonscan.Span{Start: object.Start + 1, End: object.Start + 1}, append(members, ','))
		return
	}
	c.set(edits, object, memberNames[c.Route.Spec.request.cap.within], append(append([]byte{'{'}, members...), '}'))
}

// setStreamOptions asks for usage in an OpenAI stream and keeps the other
// members of stream_options.
func (c *Call) setStreamOptions(edits *edits, body []byte, continuous bool) {
	object := c.fields.streamOptions
	if object.End == 0 || body[object.Start] != '{' {
		value := `{"include_usage":true}`
		if continuous {
			value = `{"include_usage":true,"continuous_usage_stats":true}`
		}
		c.set(edits, object, "stream_options", []byte(value))
		return
	}
	setTrue := func(name string, place jsonscan.Span) {
		if place.End > 0 {
			edits.add(place, []byte("true"))
		} else {
			edits.addMember(object, name, []byte("true"))
		}
	}
	if !c.IncludeUsage {
		setTrue("include_usage", c.fields.includeUsage)
	}
	if continuous && !c.ContinuousUsage {
		setTrue("continuous_usage_stats", c.fields.continuous)
	}
}

// edit replaces one span.
type edit struct {
	at   jsonscan.Span
	text []byte
}

// edits collects the changes of one body; there are never more than five.
type edits struct {
	list  [6]edit
	count int
}

func (e *edits) add(at jsonscan.Span, text []byte) {
	place := e.count
	for place > 0 && e.list[place-1].at.Start > at.Start {
		e.list[place] = e.list[place-1]
		place--
	}
	e.list[place] = edit{at, text}
	e.count++
}

// addMember inserts a member at the front of an object, with a comma after it. In an
// empty object apply drops the comma.
func (e *edits) addMember(object jsonscan.Span, name string, value []byte) {
	text := make([]byte, 0, len(name)+len(value)+4)
	text = append(append(append(append(text, '"'), name...), '"', ':'), value...)
	e.add(jsonscan.Span{Start: object.Start + 1, End: object.Start + 1}, append(text, ','))
}

func (e *edits) apply(body []byte, memory func(size int) []byte) []byte {
	if e.count == 0 {
		return body
	}
	size := len(body)
	for _, change := range e.list[:e.count] {
		size += len(change.text) - (change.at.End - change.at.Start)
	}
	var out []byte
	if memory != nil {
		out = memory(size)[:0]
	} else {
		out = make([]byte, 0, size)
	}
	from := 0
	for i, change := range e.list[:e.count] {
		out = append(append(out, body[from:change.at.Start]...), change.text...)
		from = change.at.End
		if i+1 < e.count && e.list[i+1].at.Start == from {
			continue
		}
		if next := jsonscan.SkipSpace(body, from); next < len(body) && body[next] == '}' && out[len(out)-1] == ',' {
			out = out[:len(out)-1]
		}
	}
	return append(out, body[from:]...)
}
