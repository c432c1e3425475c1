package translate

import (
	"encoding/json"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// Whole returns the answer to a call from a whole chat completion: JSON, or all events of
// the stream that the caller asked for. usage is what the answer says of its tokens. An
// error says that the completion cannot be translated.
func (c *Call) Whole(reply []byte, usage dialect.Usage, answer Answer) ([]byte, error) {
	s := c.Stream(answer)
	if c.chat.Stream {
		if err := s.chunk(reply); err != nil {
			return nil, err
		}
		events := append([]byte(nil), s.out...)
		return append(events, s.End(usage)...), nil
	}
	whole := newWhole(c)
	s.shape = whole
	if err := s.chunk(reply); err != nil {
		return nil, err
	}
	s.End(usage)
	return encode(whole.object()), nil
}

// Check says why a whole reply is not a chat completion, nil if it is one.
func Check(reply []byte) error {
	var shape struct {
		Choices []struct {
			Message *struct{} `json:"message"`
		} `json:"choices"`
	}
	if json.Unmarshal(reply, &shape) != nil || len(shape.Choices) == 0 || shape.Choices[0].Message == nil {
		return ErrNoChat
	}
	return nil
}

// wholeShape makes an answer that is one object.
type wholeShape interface {
	shape
	object() any
}

func newWhole(c *Call) wholeShape {
	if c.api == Responses {
		return &responsesStream{quiet: true}
	}
	return &messagesWhole{}
}
