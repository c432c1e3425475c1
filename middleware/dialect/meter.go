package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

// Meter reads usage out of a passing reply. It is for one reply and one goroutine.
type Meter = meter.Meter

// Usage is what an upstream reported.
type Usage = meter.Usage

// Sink receives what a Meter passes on of a stream.
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
	var shape *meter.Shape
	if call.Route.Spec != nil {
		shape = &call.Route.Spec.reply
	}
	return meter.New(shape, strip)
}

// SaysError says that a reply is an error, whatever its status.
func SaysError(reply []byte) bool { return meter.SaysError(reply) }
