package dialect

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/penstockhq/penstock/middleware/dialect/internal/form"
	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
	"github.com/penstockhq/penstock/middleware/dialect/internal/meter"
	"github.com/penstockhq/penstock/middleware/dialect/internal/playtime"
	"github.com/penstockhq/penstock/middleware/dialect/media"
)

// SoundTokens is what a second of sound counts, in tokens.
const SoundTokens = meter.SoundUnits

// Sound says how long a sound lasts that passes in pieces. It is for one goroutine.
type Sound = playtime.Stream

// speechSpec reads a text aloud. The answer is a file that passes while it is made, or a
// stream of events that hold pieces of one.
var speechSpec = Spec{
	Dialect: OpenAI, Class: "speech", Method: "POST", Paths: []string{"/v1/audio/speech"},
	Permission: PermissionInference, Makes: MakesSound,
	request: requestShape{stream: streamAlways},
	reply: meter.Shape{
		Events: meter.Typed, Speech: true,
		Piece: ".delta", Last: []string{"speech.audio.done"}, Failures: []string{"error"},
	},
}

const (
	// speechTokens is what a byte of text makes of sound at most, in tokens: a tenth of a
	// second. Slow speech has ten letters a second, and a Chinese one has three bytes.
	speechTokens = SoundTokens / 10
	// pauseTokens are for what is silent at the beginning and the end.
	pauseTokens = 5 * SoundTokens
	// slowest and fastest are the speeds that a caller may ask for.
	slowest, fastest = 0.1, 100
)

// speed reads how fast a text is read.
func (r *requestReader) speed(raw []byte) error {
	if r.call.Route.Spec.Makes != MakesSound || jsonscan.IsNull(raw) {
		return nil
	}
	speed, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(speed >= slowest) || speed > fastest {
		return badMember("speed", "must be a number from %v to %d", slowest, int(fastest))
	}
	r.pace = min(speed, 1)
	return nil
}

// capSound bounds the sound that is made of a text.
func (r *requestReader) capSound() {
	pace := r.pace
	if pace == 0 {
		pace = 1
	}
	text := r.call.fields.prompt
	tokens := int64(float64((text.End-text.Start)*speechTokens)/pace) + pauseTokens
	r.call.OutputCap = max(r.call.OutputCap, min(tokens, MaxOutputTokens))
	r.call.Answers = max(1, r.choices)
	r.call.fields.capped = true
}

// transcript is the reply of both operations that write down what is said: JSON, or a
// stream of OpenAI's events or of vLLM's chunks.
var transcript = meter.Shape{
	Events: meter.Typed, Sound: true,
	Piece: ".delta", Last: []string{"transcript.text.done"}, Failures: []string{"error"},
}

var transcriptionsSpec = Spec{
	Dialect: OpenAI, Class: "transcriptions", Method: "POST", Paths: []string{"/v1/audio/transcriptions"},
	Permission: PermissionInference, Form: true,
	answer: []string{"text"},
	reply:  transcript,
}

var translationsSpec = Spec{
	Dialect: OpenAI, Class: "translations", Method: "POST", Paths: []string{"/v1/audio/translations"},
	Permission: PermissionInference, Form: true,
	answer: []string{"text"},
	reply:  transcript,
}

const (
	// wordTokens are those that a second of sound is written down in at most: decoders
	// stop at 448 for half a minute.
	wordTokens = 15
	// restTokens are for a sound that is shorter than that.
	restTokens = 448
)

// IsForm says that the calls of this route are forms, which [Reader.ReadForm] reads.
func (r Route) IsForm() bool { return r.Spec != nil && r.Spec.Form }

// ReadForm is [Reader.Read] for a form with a file of sound. contentType is the
// request's. A form that two parsers could read in two ways is refused.
func (o Reader) ReadForm(route Route, contentType string, body []byte) (Call, error) {
	call := Call{Route: route, Answers: 1}
	boundary, err := form.Boundary(contentType)
	if err != nil {
		return call, &RequestError{Message: err.Error()}
	}
	parts, err := form.Read(body, boundary)
	if err != nil {
		return call, &RequestError{Message: err.Error()}
	}
	call.fields.capped = true
	seen := map[string]bool{}
	for _, part := range parts {
		list := strings.HasSuffix(part.Name, "[]")
		name := strings.TrimSuffix(part.Name, "[]")
		switch {
		case seen[part.Name] && !list:
			return call, badMember(part.Name, "appears twice")
		case o.StrictMembers && !route.Spec.knows(name):
			return call, badMember(part.Name, unknownMember)
		}
		seen[part.Name] = true
		if err := call.formPart(part, body); err != nil {
			return call, err
		}
	}
	if !seen["file"] {
		return call, badMember("file", "is required")
	}
	call.OutputCap = max(call.OutputCap, call.Media.AudioSeconds.Likely*wordTokens+restTokens)
	return call, nil
}

// formFields are those that the gate reads.
var formFields = []string{"file", "model", "stream", "response_format", "n", "max_completion_tokens", "max_tokens", "max_new_tokens"}

// formPart reads a part of a form.
func (c *Call) formPart(part form.Part, body []byte) error {
	value := body[part.Start:part.End]
	if part.File != (part.Name == "file") {
		if part.File {
			return badMember(part.Name, "must not be a file")
		}
		return badMember(part.Name, "must be a file")
	}
	if part.File {
		const second = time.Second
		length := func(d time.Duration) int64 { return int64((d + second - 1) / second) }
		c.Media = &media.Content{AudioSeconds: media.Range{
			Likely: length(playtime.Length(value)), Most: length(playtime.Longest(int64(len(value)))),
		}}
		return nil
	}
	if !utf8.Valid(value) {
		return badMember(part.Name, "is not valid UTF-8")
	}
	c.TextBytes += int64(len(value))
	switch text := string(value); part.Name {
	case "model":
		if err := checkModelName(text); err != nil {
			return err
		}
		c.Model, c.fields.model = text, jsonscan.Span{Start: part.Start, End: part.End}
	case "stream":
		switch strings.ToLower(text) {
		case "true", "1":
			c.Stream = true
		case "false", "0", "":
		default:
			return badMember("stream", "must be true or false")
		}
	case "response_format":
		c.PlainText = text == "text" || text == "srt" || text == "vtt"
	case "n":
		return readCount("n", value, &c.Answers)
	case "max_completion_tokens", "max_tokens", "max_new_tokens":
		return readLargest(part.Name, value, MaxOutputTokens, &c.OutputCap)
	default:
		for _, known := range formFields {
			if strings.EqualFold(known, strings.TrimSuffix(part.Name, "[]")) {
				return badMember(known, "must be spelled exactly so")
			}
		}
	}
	return nil
}

// FormPieces returns the pieces of the form that goes to the upstream, with another name
// of the model; empty: leave it. The body itself is not copied.
func (c *Call) FormPieces(body []byte, model string) [][]byte {
	place := c.fields.model
	switch {
	case model == "" || model == c.Model:
		return [][]byte{body}
	case place.End > 0:
		return [][]byte{body[:place.Start], []byte(model), body[place.End:]}
	}
	delimiter, _, _ := strings.Cut(string(body[:min(len(body), 80)]), "\r\n")
	part := fmt.Sprintf("%s\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n%s\r\n", delimiter, model)
	return [][]byte{[]byte(part), body}
}

// TranscriptBytes returns the size of the text of a whole reply of this kind, in bytes.
// What it says of words and parts of the text repeats it.
func TranscriptBytes(reply []byte) int64 {
	members := jsonscan.ScanObject(reply, 0)
	for {
		name, value, ok := members.Next()
		if !ok {
			return 0
		}
		if raw := value.Of(reply); string(name) == "text" && raw[0] == '"' {
			return int64(len(jsonscan.Unquote(raw)))
		}
	}
}
