package dialect

import (
	"strconv"

	"github.com/penstockhq/penstock/middleware/dialect/internal/meter"
	"github.com/penstockhq/penstock/middleware/dialect/internal/playtime"
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
	if r.call.Route.Spec.Makes != MakesSound || string(raw) == "null" {
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
