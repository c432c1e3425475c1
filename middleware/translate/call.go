package translate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// Call is a call that goes to an upstream as a chat completion.
type Call struct {
	api  APIs
	chat chatRequest
	// thinking says that the caller sees what the model thinks.
	thinking bool
	echo     *responsesRequest // what a response repeats of its request
}

// Answer is what an answer says of itself, whatever the upstream says.
type Answer struct {
	ID      string // unique, without a prefix
	Model   string // as the caller named it
	Created time.Time
}

// Read reads the body of a call of one of the APIs. stream says that the caller wants a
// stream: what the gate has read decides, so that both wait for the same. What a chat
// completion cannot express is a *dialect.RequestError.
func Read(api APIs, body []byte, stream bool) (call *Call, err error) {
	if api == Responses {
		call, err = readResponses(body)
	} else {
		call, err = readMessages(body)
	}
	if err != nil {
		return nil, err
	}
	call.chat.Stream = stream
	return call, nil
}

// Body returns the body that goes to the upstream. model is the name that the upstream
// knows, outputCap the maximum of tokens, 0 for none. continuous asks for usage on every
// chunk of a stream.
func (c *Call) Body(model string, outputCap int64, continuous bool) []byte {
	c.chat.Model, c.chat.MaxTokens = model, outputCap
	if c.chat.Stream {
		c.chat.StreamOptions = &streamOptions{IncludeUsage: true, Continuous: continuous}
	}
	return encode(&c.chat)
}

// refuse returns an error about a member of the body.
func refuse(param, format string, arguments ...any) *dialect.RequestError {
	return &dialect.RequestError{Param: param, Message: fmt.Sprintf("%q ", param) + fmt.Sprintf(format, arguments...)}
}

// decode reads a body. The gate has checked that it is JSON.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	var known *dialect.RequestError
	var mistake *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &mistake) && mistake.Field != "":
		return refuse(mistake.Field, "has the wrong type")
	}
	return &dialect.RequestError{Message: "the body does not have the shape of this API"}
}

// given says that a member is there and not null.
func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// filled says that a member is there and neither null nor empty.
func filled(raw json.RawMessage) bool {
	return given(raw) && !slices.Contains([]string{"[]", "{}", `""`}, string(raw))
}

// effort returns how much a model shall think, in the words of the chat API.
func effort(member, word string) (string, error) {
	switch word {
	case "":
		return "", nil
	case "none", "minimal", "low", "medium", "high":
		return word, nil
	case "xhigh", "max":
		return "high", nil // the most that all servers know
	}
	return "", refuse(member, "must be none, minimal, low, medium, high, xhigh or max")
}
