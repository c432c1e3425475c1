package dialect

// streamOptions reads stream_options and remembers where its members stand.
func (r *requestReader) streamOptions(value span) error {
	r.call.fields.streamOptions = value
	raw := value.of(r.body)
	if isNull(raw) {
		return nil
	}
	return r.object("stream_options", value, func(name []byte, at span) error {
		switch string(name) {
		case "include_usage":
			r.call.fields.includeUsage = at
			return readBool("stream_options.include_usage", at.of(r.body), &r.call.IncludeUsage)
		case "continuous_usage_stats":
			r.call.fields.continuous = at
			return readBool("stream_options.continuous_usage_stats", at.of(r.body), &r.call.ContinuousUsage)
		}
		return nil
	})
}

// nested reads the objects in which some servers keep the output cap.
func (r *requestReader) nested(id memberID, name string, value span) error {
	if !r.holdsOptions(id) {
		return nil
	}
	r.call.fields.options = value
	if isNull(value.of(r.body)) {
		return nil
	}
	return r.object(name, value, func(member []byte, at span) error {
		raw := at.of(r.body)
		switch string(member) {
		case "num_predict", "max_new_tokens":
			return r.nestedCap(name+"."+string(member), at)
		case "n":
			return readCount(name+".n", raw, &r.choices)
		case "best_of":
			return readCount(name+".best_of", raw, &r.bestOf)
		case "stream":
			if r.call.Route.Operation == Execute && string(raw) == "true" {
				r.call.Stream = true
			}
		case "details":
			r.call.fields.details = at
			return readBool(name+".details", raw, &r.call.IncludeUsage)
		}
		return nil
	})
}

// holdsOptions says whether the operation keeps its options in this member.
func (r *requestReader) holdsOptions(id memberID) bool {
	switch r.call.Route.Operation {
	case OllamaGenerate, OllamaChat:
		return id == memberOptions
	case Generate:
		return id == memberParameters || id == memberSamplingParams
	case GenerateStream:
		return id == memberParameters
	case Execute, ExecuteAsync:
		return id == memberOptions
	}
	return false
}

func (r *requestReader) nestedCap(name string, value span) error {
	raw := value.of(r.body)
	number, ok := parseInteger(raw)
	if isNull(raw) || ok && number < 0 && r.call.Route.Kind == Ollama {
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
func (r *requestReader) object(name string, value span, visit func(member []byte, at span) error) error {
	if r.body[value.start] != '{' {
		return badMember(name, "must be an object")
	}
	scanner := scanObject(r.body[:value.end], value.start)
	seen := map[string]bool{}
	for {
		member, at, ok := scanner.next()
		if !ok {
			break
		}
		if seen[string(member)] {
			return badMember(name, "holds a member twice")
		}
		seen[string(member)] = true
		if unusual(member) {
			if err := refuseLookalike(member); err != nil {
				return err
			}
		}
		if err := visit(member, at); err != nil {
			return err
		}
	}
	if scanner.err != nil {
		return &RequestError{Message: scanner.err.Error()}
	}
	return nil
}

// countPrompts returns how many prompts an array holds: a batch of texts or of
// token lists; a plain list of tokens is one.
func countPrompts(body []byte, value span) int64 {
	scanner := scanArray(body, value.start)
	var batch int64
	for {
		element, ok := scanner.next()
		if !ok {
			return max(1, batch)
		}
		switch body[element.start] {
		case '"', '[', '{':
			batch++
		}
	}
}
