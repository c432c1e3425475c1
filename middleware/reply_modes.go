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

func (r *reply) chooseMode(header http.Header) mode {
	r.takeTGICounts(header)
	if r.status >= 400 || r.redirects() {
		return modeError
	}
	media := header.Get("Content-Type")
	if media != "application/json" { // what most are
		media, _, _ = mime.ParseMediaType(media)
	}
	switch {
	case r.packed && r.request.call.Route.Translated():
		r.readError = errPacked
		return modeTranslated
	case r.packed:
		return modeBody
	case r.request.call.Route.Translated() && !r.request.call.Stream:
		return modeTranslated // a stream that nobody asked for is no chat completion
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

// takeTGICounts reads the figures that TGI sends in headers.
func (r *reply) takeTGICounts(header http.Header) {
	if r.request.call.Route.Kind != dialect.TGI {
		return
	}
	input, err := strconv.ParseInt(header.Get("X-Prompt-Tokens"), 10, 64)
	output, err2 := strconv.ParseInt(header.Get("X-Generated-Tokens"), 10, 64)
	if err == nil && err2 == nil && input >= 0 && output >= 0 {
		r.meter.Report(dialect.Usage{Input: input, Output: output})
	}
}

// openEncoding gets ready to read a packed reply. The client gets it unpacked:
// it was asked for so.
func (r *reply) openEncoding(header http.Header) {
	switch header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip", "x-gzip":
		r.unpack = newUnpacker(r.consume)
		header.Del("Content-Encoding")
		header.Del("Content-Length")
	default:
		r.packed = true
	}
}

// consume takes a piece of the unpacked body.
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
		if !r.packed {
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

// letPass sends what was kept and goes on without keeping.
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
	if len(r.kept) > 0 { // nothing may overtake the end
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
