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
func (r *requestReader) streamOptions() error {
	const name = "stream_options"
	whole, err := r.object(name, func(member []byte) error {
		at, err := r.value()
		if err != nil {
			return err
		}
		switch string(member) {
		case "include_usage":
			r.call.fields.includeUsage = at
			return readBool(name+".include_usage", at.Of(r.body), &r.call.IncludeUsage)
		case "continuous_usage_stats":
			r.call.fields.continuous = at
			return readBool(name+".continuous_usage_stats", at.Of(r.body), &r.call.ContinuousUsage)
		}
		return nil
	})
	r.call.fields.streamOptions = whole
	return err
}

// maxNesting limits how deep objects of options may stand in each other.
const maxNesting = 4

// nested reads an object of options: the one in which the operation's servers keep
// theirs, or one in which other servers do.
func (r *requestReader) nested(id memberID, path string, depth int) error {
	own := depth == 1 && r.shape.options.has(id)
	if !own && (r.at.Kind() != '{' || r.call.Route.Translated()) {
		_, err := r.value()
		return err
	}
	if depth > maxNesting {
		return badMember(path, "stands too deep")
	}
	whole, err := r.object(path, func(member []byte) error {
		name, inner := path+"."+string(member), memberByName(member)
		switch inner {
		case memberOptions, memberParameters, memberSamplingParams, memberExtraBody:
			return r.nested(inner, name, depth+1)
		}
		at, err := r.value()
		if err != nil {
			return err
		}
		return r.option(id, inner, own, member, name, at)
	})
	if own {
		r.call.fields.options = whole
	}
	return err
}

// option reads a member of an object of options, which is one that the operation's
// servers know or not.
func (r *requestReader) option(object, id memberID, own bool, member []byte, path string, at jsonscan.Span) error {
	if own && string(member) == r.shape.cap.name {
		return r.nestedCap(path, at)
	}
	if i, ok := workByName[string(member)]; ok {
		return r.work(&workMembers[i], path, at)
	}
	switch string(member) {
	case "stream":
		if r.shape.streamInOptions && string(at.Of(r.body)) == "true" {
			r.call.Stream = true
		}
	case "details":
		if own {
			r.call.fields.details = at
			return readBool(path, at.Of(r.body), &r.call.IncludeUsage)
		}
	}
	switch id {
	case memberNone:
		return unknownDraft(member)
	case memberModel, memberMessages, memberPrompt, memberInput, memberInputs, memberText, memberInputIDs:
		if object == memberExtraBody {
			return badMember(path, "must stand in the body itself")
		}
	}
	return nil
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

// object visits the members of a nested object and refuses repeated ones. It returns
// where the object stands, which may be null.
func (r *requestReader) object(name string, visit func(member []byte) error) (whole jsonscan.Span, err error) {
	if r.at.Kind() != '{' {
		whole, err = r.value()
		if err == nil && !jsonscan.IsNull(whole.Of(r.body)) {
			err = badMember(name, "must be an object")
		}
		return whole, err
	}
	whole.Start = r.at.Pos
	var seen nameSet
	for r.at.Enter(); ; {
		member, ok := r.at.Member()
		if !ok {
			break
		}
		if !seen.add(member) {
			return whole, badMember(name, "holds a member twice")
		}
		if jsonscan.Unusual(member) {
			if err := refuseLookalike(member); err != nil {
				return whole, err
			}
		}
		if err := visit(member); err != nil {
			return whole, err
		}
	}
	if r.at.Err != nil {
		return whole, &RequestError{Message: r.at.Err.Error()}
	}
	whole.End = r.at.Pos
	return whole, nil
}

// nameSet is a set of the names of members.
type nameSet struct {
	few   [12][]byte // the first ones: most objects have no more
	count int
	many  map[string]bool
}

// add adds a name, and is false if the set has it.
func (s *nameSet) add(name []byte) bool {
	for _, known := range s.few[:min(s.count, len(s.few))] {
		if string(known) == string(name) {
			return false
		}
	}
	if s.count < len(s.few) {
		s.few[s.count] = name
		s.count++
		return true
	}
	if s.many == nil {
		s.many = map[string]bool{}
	}
	if s.many[string(name)] {
		return false
	}
	s.many[string(name)] = true
	return true
}

// side is one side of pairs that are read together.
type side struct {
	text  int64 // bytes, without those of media
	count int64 // of the elements of a list; 0: it is none
}

// side reads a query or documents, or several of either, which may hold media.
func (r *requestReader) side(into *side) error {
	start, files := r.at.Pos, r.media.Content.Bytes
	if r.at.Kind() == '[' {
		for r.at.Enter(); r.at.Element(); into.count++ {
			r.content(1)
		}
	} else {
		r.content(0)
	}
	into.text = int64(r.at.Pos-start) - (r.media.Content.Bytes - files)
	if r.at.Err != nil {
		return &RequestError{Message: r.at.Err.Error()}
	}
	return nil
}
