package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

// Meter reads usage out of a passing reply. It is for one reply and one goroutine.
type Meter = meter.Meter

// Usage is what an upstream reported.
type Usage = meter.Usage

// Sink takes what a Meter passes on of a stream.
type Sink = meter.Sink

// Format is how a stream is cut into events.
type Format = meter.Format

// The formats.
const (
	SSE    = meter.SSE
	NDJSON = meter.NDJSON
)

// NewMeter returns the meter of the reply to call. With strip set, usage that the
// caller did not ask for is taken out of the stream.
func NewMeter(call *Call, strip bool) Meter {
	return meter.New(&shapes[call.Route.Operation], strip)
}

// SaysError says that a whole reply is an error, whatever its status.
func SaysError(reply []byte) bool { return meter.SaysError(reply) }

// shapes are the shapes of replies by operation.
var shapes = [...]meter.Shape{
	Chat:        {Events: meter.Chunks, OnRequest: true},
	Completions: {Events: meter.Chunks, OnRequest: true},
	Responses: {
		Events: meter.Typed, Piece: ".delta",
		Last: []string{"response.completed", "response.incomplete"}, Failures: []string{"response.failed", "error"},
	},
	Messages: {
		Events: meter.Typed, Early: "message_start", Framed: "content_block_delta",
		Last: []string{"message_stop"}, Failures: []string{"error"}, CachedApart: true,
	},
	OllamaGenerate:  {End: meter.EndDone},
	OllamaChat:      {End: meter.EndDone},
	LlamaCompletion: {End: meter.EndDone},
	Generate:        {WholeText: true},
	GenerateStream:  {End: meter.EndFinished, OnRequest: true},
	Custom:          {},
}
