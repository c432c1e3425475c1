package middleware

import (
	"mime"
	"net/http"
	"strconv"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// mode is how a reply is handled.
type mode uint8

const (
	modeWhole      mode = iota // kept up to maxWhole, sent at the end
	modeBody                   // passes, but for its last byte
	modeStream                 // events pass when they come, but for the last
	modeTranslated             // kept, sent in another shape
	modeError                  // an upstream's refusal: kept, shaped at the end
)

// chooseMode decides from the header how the reply is handled.
func (r *reply) chooseMode(header http.Header) mode {
	r.takeCounts(header)
	if r.status >= 400 || r.redirects() {
		return modeError
	}
	media := header.Get("Content-Type")
	if media != "application/json" { // by far the most common
		media, _, _ = mime.ParseMediaType(media)
	}
	switch {
	case r.opaque && r.request.call.Route.Translated():
		r.readError = errOpaque
		return modeTranslated
	case r.opaque:
		return modeBody
	case r.request.call.Route.Translated() && !r.request.call.Stream:
		return modeTranslated // a stream that was not asked for is not a chat completion
	case media == "text/event-stream":
		r.format = dialect.SSE
		return modeStream
	case media == "application/x-ndjson" || media == "application/jsonl":
		r.format = dialect.NDJSON
		return modeStream
	case r.request.call.Route.Translated():
		return modeTranslated
	}
	return modeWhole
}

// takeCounts reads the figures that some servers send in headers.
func (r *reply) takeCounts(header http.Header) {
	names := &r.request.call.Route.Spec.CountHeaders
	if names[0] == "" {
		return
	}
	input, err := strconv.ParseInt(header.Get(names[0]), 10, 64)
	output, err2 := strconv.ParseInt(header.Get(names[1]), 10, 64)
	if err == nil && err2 == nil && input >= 0 && output >= 0 {
		r.meter.Report(dialect.Usage{Input: input, Output: output})
	}
}

// openEncoding prepares for a compressed reply. The client receives it
// decompressed: the gate asked the upstream for plain replies.
func (r *reply) openEncoding(header http.Header) {
	switch header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip", "x-gzip":
		r.gzip = newDecompressor(r.consume)
		header.Del("Content-Encoding")
		header.Del("Content-Length")
	default:
		r.opaque = true
	}
}

// consume takes a piece of the decompressed body.
func (r *reply) consume(piece []byte) {
	switch r.mode {
	case modeStream:
		if err := r.meter.Stream(r.format, piece, r); err != nil && r.writeError == nil {
			r.readError = err
		}
	case modeWhole:
		r.meter.Body(piece)
		r.kept = append(r.kept, piece...)
		if len(r.kept) > maxWhole {
			r.letPass()
		}
	case modeBody:
		if !r.opaque {
			r.meter.Body(piece)
		}
		r.pass(piece)
	case modeTranslated:
		r.meter.Body(piece)
		if len(r.kept)+len(piece) > maxTranslated {
			r.readError = errReplyTooLarge
			return
		}
		r.kept = append(r.kept, piece...)
	case modeError:
		r.kept = append(r.kept, piece[:min(len(piece), maxWhole-len(r.kept))]...)
	}
}

// letPass sends what was kept, and from now on keeps only the last byte.
func (r *reply) letPass() {
	r.mode = modeBody
	kept := r.kept
	r.kept = nil
	if len(kept) > 0 {
		r.pass(kept)
	}
}

// pass sends a piece of a body, all but the last byte so far.
func (r *reply) pass(piece []byte) {
	r.send()
	if len(piece) == 0 {
		return
	}
	if len(r.kept) > 0 {
		r.write(r.kept)
	}
	r.write(piece[:len(piece)-1])
	r.kept = append(r.kept[:0], piece[len(piece)-1])
}

// Pass implements dialect.Sink.
func (r *reply) Pass(events []byte) error {
	if len(r.kept) > 0 { // nothing may overtake what is held back
		return r.Last(events)
	}
	r.write(events)
	if err := r.watch.produced(r.meter.Counted()); err != nil {
		return err
	}
	return r.writeError
}

// Last implements dialect.Sink.
func (r *reply) Last(events []byte) error {
	if len(r.kept)+len(events) > maxHeld {
		return errAfterEnd
	}
	r.kept = append(r.kept, events...)
	return nil
}
