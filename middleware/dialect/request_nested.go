package dialect

import (
	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// streamOptions reads stream_options and where its members stand.
func (r *requestReader) streamOptions(value jsonscan.Span) error {
	r.call.fields.streamOptions = value
	raw := value.Of(r.body)
	if jsonscan.IsNull(raw) {
		return nil
	}
	return r.object("stream_options", value, func(name []byte, at jsonscan.Span) error {
		switch string(name) {
		case "include_usage":
			r.call.fields.includeUsage = at
			return readBool("stream_options.include_usage", at.Of(r.body), &r.call.IncludeUsage)
		case "continuous_usage_stats":
			r.call.fields.continuous = at
			return readBool("stream_options.continuous_usage_stats", at.Of(r.body), &r.call.ContinuousUsage)
		}
		return nil
	})
}

// nested reads the objects in which some servers keep the output cap.
func (r *requestReader) nested(id memberID, name string, value jsonscan.Span) error {
	if !r.shape.options.has(id) {
		return nil
	}
	r.call.fields.options = value
	if jsonscan.IsNull(value.Of(r.body)) {
		return nil
	}
	return r.object(name, value, func(member []byte, at jsonscan.Span) error {
		raw := at.Of(r.body)
		switch string(member) {
		case "num_predict", "max_new_tokens":
			return r.nestedCap(name+"."+string(member), at)
		case "n":
			return readCount(name+".n", raw, &r.choices)
		case "best_of":
			return readCount(name+".best_of", raw, &r.bestOf)
		case "stream":
			if r.shape.streamInOptions && string(raw) == "true" {
				r.call.Stream = true
			}
		case "details":
			r.call.fields.details = at
			return readBool(name+".details", raw, &r.call.IncludeUsage)
		}
		return nil
	})
}

func (r *requestReader) nestedCap(name string, value jsonscan.Span) error {
	raw := value.Of(r.body)
	number, ok := jsonscan.ParseInteger(raw)
	if jsonscan.IsNull(raw) || ok && number < 0 && r.shape.cap.negative {
		r.call.fields.cap = value
		return nil
	}
	if !ok || number < 1 || number > MaxOutputTokens {
		return badMember(name, "must be a whole number from 1 to %d", MaxOutputTokens)
	}
	r.call.OutputCap = max(r.call.OutputCap, number)
	r.call.fields.capped = true
	return nil
}

// object visits the members of a nested object and refuses repeated ones.
func (r *requestReader) object(name string, value jsonscan.Span, visit func(member []byte, at jsonscan.Span) error) error {
	if r.body[value.Start] != '{' {
		return badMember(name, "must be an object")
	}
	scanner := jsonscan.ScanObject(r.body[:value.End], value.Start)
	seen := map[string]bool{}
	for {
		member, at, ok := scanner.Next()
		if !ok {
			break
		}
		if seen[string(member)] {
			return badMember(name, "holds a member twice")
		}
		seen[string(member)] = true
		if jsonscan.Unusual(member) {
			if err := refuseLookalike(member); err != nil {
				return err
			}
		}
		if err := visit(member, at); err != nil {
			return err
		}
	}
	if scanner.Err != nil {
		return &RequestError{Message: scanner.Err.Error()}
	}
	return nil
}

// countPrompts returns how many prompts an array holds: a batch of texts or of
// token lists; a plain list of tokens is one.
func countPrompts(body []byte, value jsonscan.Span) int64 {
	scanner := jsonscan.ScanArray(body, value.Start)
	var batch int64
	for {
		element, ok := scanner.Next()
		if !ok {
			return max(1, batch)
		}
		switch body[element.Start] {
		case '"', '[', '{':
			batch++
		}
	}
}
