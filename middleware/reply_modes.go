package middleware

import (
	"mime"
	"net/http"
	"strings"

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
	if names := &r.request.call.Route.Spec.CountHeaders; names[0] != "" {
		r.meter.ReportTexts(header.Get(names[0]), header.Get(names[1]))
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

// redirects reports whether the upstream sends the client elsewhere, past the gate.
func (r *reply) redirects() bool {
	return r.status >= 300 && r.status < 400 && r.request.custom == nil
}

// truncated reports whether the handler returned normally but its answer is incomplete.
func (r *reply) truncated() bool {
	if r.mode == modeStream {
		return r.request.custom == nil && !r.meter.Complete()
	}
	return r.declared >= 0 && r.size < r.declared && !r.bodiless
}

// drain takes what is left in the decompressor, the event reader and the trailers.
// It also reads replies that must be translated, and finds errors that came with the
// status of success.
func (r *reply) drain(returned bool) {
	if r.gzip != nil {
		if err := r.gzip.close(); err != nil && r.readError == nil {
			r.readError = err
		}
	}
	if r.mode == modeStream && r.wrote && returned { // an event that was cut off is not sent
		if err := r.meter.Flush(r); err != nil && r.writeError == nil && r.readError == nil {
			r.readError = err
		}
	}
	if r.mode == modeTranslated && r.wrote && r.readError == nil {
		var ok bool
		if r.text, ok = dialect.ChatText(r.kept); !ok {
			r.readError = errNoChat
		}
	}
	if r.mode == modeWhole && r.wrote && r.request.custom == nil && r.readError == nil && dialect.SaysError(r.kept) {
		if _, reported := r.meter.Reported(); !reported {
			r.readError = errOnlyError
		}
	}
	header := r.w.Header()
	for name := range header { // trailers that were not announced
		if trailer, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && own(trailer) {
			delete(header, name)
		}
	}
	for _, name := range []string{headerInference, http.TrailerPrefix + headerInference} {
		if values, ok := header[name]; ok {
			delete(header, name)
			if took, ok := takeInference(http.Header{headerInference: values}); ok {
				r.inference, r.hasInference = took, true
			}
		}
	}
}

// passing reports whether parts of a body have been sent, so that the client cannot be
// sent another answer.
func (r *reply) passing() bool { return r.sent && r.mode == modeBody }

// reading returns what the reply showed.
func (r *reply) reading() reading {
	seen := reading{
		wrote: r.wrote, status: r.status, stream: r.mode == modeStream, passing: r.passing(),
		truncated: r.truncated(), redirects: r.redirects(), readError: r.readError, writeError: r.writeError,
		errorEvent: r.meter.Failed(), produced: r.meter.Produced(), early: r.meter.Early(), counted: r.meter.Counted(),
		inference: r.inference, hasInference: r.hasInference,
	}
	seen.usage, seen.hasUsage = r.meter.Reported()
	return seen
}
