package dialect

import (
	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

// prompt reads a member that holds the prompt, or a part of it.
func (r *requestReader) prompt(id memberID) error {
	kind, start := r.at.Kind(), r.at.Pos
	if id == memberPrompt && kind == '{' && r.shape.refuses[id] != "" {
		return r.refuse(id)
	}
	if r.call.Route.Translated() && id != memberSystem {
		id = memberMessages // text and data hold one prompt or a list of messages
	}
	switch id {
	case memberMessages, memberInput:
		r.content(0)
	case memberPrompt, memberText, memberInputIDs:
		r.batch()
	default:
		r.at.Skip()
	}
	if r.at.Err != nil {
		return &RequestError{Message: r.at.Err.Error()}
	}
	if span := &r.call.fields.prompt; span.End == 0 {
		*span = jsonscan.Span{Start: start, End: r.at.Pos}
	} else if id != memberSystem {
		span.Start, span.End = min(span.Start, start), max(span.End, r.at.Pos)
	}
	return nil
}

// batch reads a prompt, or a list of prompts: of texts, of token lists, or of texts with
// media. A plain list of tokens is one.
func (r *requestReader) batch() {
	if r.at.Kind() != '[' {
		r.textWithMedia()
		return
	}
	var batch int64
	for r.at.Enter(); r.at.Element(); {
		switch r.at.Kind() {
		case '"', '[', '{':
			batch++
		}
		r.textWithMedia()
	}
	r.prompts = max(r.prompts, batch)
}

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

// maxNesting limits how deep objects of options may stand in each other.
const maxNesting = 4

// nested reads an object of options: the one in which the operation's servers keep
// theirs, or one in which other servers do.
func (r *requestReader) nested(id memberID, path string, value jsonscan.Span, depth int) error {
	own := depth == 1 && r.shape.options.has(id)
	raw := value.Of(r.body)
	if !own && (raw[0] != '{' || r.call.Route.Translated()) {
		return nil
	}
	if own {
		r.call.fields.options = value
	}
	if jsonscan.IsNull(raw) {
		return nil
	}
	if depth > maxNesting {
		return badMember(path, "stands too deep")
	}
	return r.object(path, value, func(member []byte, at jsonscan.Span) error {
		name := path + "." + string(member)
		if own && string(member) == r.shape.cap.name {
			return r.nestedCap(name, at)
		}
		if i, ok := workByName[string(member)]; ok {
			return r.work(&workMembers[i], name, at)
		}
		switch string(member) {
		case "stream":
			if r.shape.streamInOptions && string(at.Of(r.body)) == "true" {
				r.call.Stream = true
			}
		case "details":
			if own {
				r.call.fields.details = at
				return readBool(name, at.Of(r.body), &r.call.IncludeUsage)
			}
		}
		switch inner := memberByName(member); inner {
		case memberNone:
			return unknownDraft(member)
		case memberOptions, memberParameters, memberSamplingParams, memberExtraBody:
			return r.nested(inner, name, at, depth+1)
		case memberModel, memberMessages, memberPrompt, memberInput, memberInputs, memberText, memberInputIDs:
			if id == memberExtraBody {
				return badMember(name, "must stand in the body itself")
			}
		}
		return nil
	})
}

// nestedCap reads the cap that the operation's servers obey.
func (r *requestReader) nestedCap(name string, value jsonscan.Span) error {
	raw := value.Of(r.body)
	number, ok := jsonscan.ParseInteger(raw)
	if jsonscan.IsNull(raw) || ok && number < 0 && r.shape.cap.negative {
		r.call.fields.cap = value
		return nil
	}
	if err := r.largestCap(name, raw); err != nil {
		return err
	}
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

// side is one side of pairs that are read together.
type side struct {
	text  int64 // bytes, without those of media
	count int64 // of the elements of a list; 0: it is none
}

// side reads a query or documents, or several of either, which may hold media.
func (r *requestReader) side(into *side) error {
	start, files := r.at.Pos, r.media.content.Bytes
	if r.at.Kind() == '[' {
		for r.at.Enter(); r.at.Element(); into.count++ {
			r.content(1)
		}
	} else {
		r.content(0)
	}
	into.text = int64(r.at.Pos-start) - (r.media.content.Bytes - files)
	if r.at.Err != nil {
		return &RequestError{Message: r.at.Err.Error()}
	}
	return nil
}
