package middleware

import (
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect"
	"github.com/penstockhq/penstock/middleware/internal/unpack"
	"github.com/penstockhq/penstock/middleware/translate"
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
	if r.opaque && r.request.custom == nil && r.status < 300 {
		r.fault = errOpaque
	}
	if r.status >= 400 || r.redirects() || r.fault != nil {
		return modeError
	}
	media := header.Get("Content-Type")
	if media != "application/json" { // by far the most common
		media, _, _ = mime.ParseMediaType(media)
	}
	switch {
	case r.request.call.Route.Spec.Makes == dialect.MakesSound && media != "text/event-stream":
		return r.openSound(media)
	case r.request.call.PlainText && strings.HasPrefix(media, "text/") && media != "text/html" && media != "text/event-stream":
		r.plain, r.rename = true, nil
		return modeWhole
	case r.opaque:
		return modeBody
	case r.request.toChat() && !r.request.call.Stream:
		return modeTranslated // a stream that was not asked for is not a chat completion
	case r.request.translation != nil && media != "text/event-stream":
		return modeTranslated
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

// sound is an answer that is one.
type sound struct {
	media  string // type of the content
	passed dialect.Sound
}

// tokens returns what has passed counts, in tokens. Without a sound that is nothing.
func (s *sound) tokens() int64 {
	if s == nil {
		return 0
	}
	const token = time.Second / dialect.SoundTokens
	return int64((s.passed.Length(s.media) + token - 1) / token)
}

// openSound prepares for an answer that is a sound. What has another type is none.
func (r *reply) openSound(media string) mode {
	if !strings.HasPrefix(media, "audio/") && media != "application/octet-stream" {
		r.fault = errNoReply
		return modeError
	}
	r.sound, r.rename = &sound{media: media}, nil
	return modeBody
}

// passSound passes on a piece of a sound, for as long as there is credit for it.
func (r *reply) passSound(piece []byte) {
	if len(piece) == 0 {
		return
	}
	r.sound.passed.Add(piece)
	r.pass(piece)
	if err := r.watch.produced(r.bounded(r.sound.tokens())); err != nil {
		r.readError = err
	}
}

// bounded returns what counts of the output so far. How long a sound is that passes is not
// known well enough to end a call for it.
func (r *reply) bounded(output int64) int64 {
	if r.request.call.Route.Spec.Makes != dialect.MakesSound {
		return output
	}
	return min(output, r.watch.admission.cap*r.request.call.Answers)
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
		r.gzip = unpack.NewGzip(r.consume)
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
		if err := r.meter.Stream(r.format, piece, r.sink()); err != nil && r.writeError == nil {
			r.readError = err
		}
	case modeWhole:
		if !r.plain {
			r.meter.Body(piece)
		}
		r.kept = append(r.kept, piece...)
		if len(r.kept) > maxWhole && r.mayAnswer() {
			r.letPass()
		}
	case modeBody:
		if r.sound != nil {
			r.passSound(piece)
			return
		}
		if !r.opaque && !r.plain {
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

// mayAnswer says whether a reply that is too large to be kept can be an answer. One that
// cannot is not passed on.
func (r *reply) mayAnswer() bool {
	if r.request.custom == nil && !r.plain && !r.request.call.Route.Spec.MayAnswer(r.kept) {
		r.fault, r.mode, r.kept = errNoReply, modeError, r.kept[:0]
		return false
	}
	return true
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
	if piece = r.renamed(piece); len(piece) == 0 {
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
	r.write(r.renamed(events))
	if err := r.watch.produced(r.bounded(r.meter.Counted())); err != nil {
		return err
	}
	return r.writeError
}

// Last implements dialect.Sink.
func (r *reply) Last(events []byte) error {
	events = r.renamed(events)
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
// selfReported says that the handler itself has said what the call used: then its reply
// is an answer, whatever it looks like.
func (r *reply) drain(returned, selfReported bool) {
	if r.gzip != nil {
		if err := r.gzip.Close(); err != nil && r.readError == nil {
			r.readError = err
		}
	}
	if r.mode == modeStream && r.wrote && returned { // an event that was cut off is not sent
		if err := r.flushEvents(); err != nil && r.writeError == nil && r.readError == nil {
			r.readError = err
		}
	}
	if r.mode == modeTranslated && r.wrote && r.readError == nil {
		r.readError = r.readChat()
	}
	if r.wrote && returned && !r.truncated() && r.request.custom == nil && r.readError == nil {
		if r.readError = r.judge(selfReported); r.readError == nil && r.mode == modeTranslated && r.request.translation != nil {
			r.readError = r.translateWhole()
		}
	}
	if r.fault != nil {
		r.readError = r.fault
	}
	header := r.w.Header()
	dropOwnTrailers(header)
	for _, name := range []string{headerInference, http.TrailerPrefix + headerInference} {
		if values, ok := header[name]; ok {
			delete(header, name)
			if took, ok := takeInference(http.Header{headerInference: values}); ok {
				r.inference, r.hasInference = took, true
			}
		}
	}
}

// readChat says why a whole reply is not a chat completion, nil if it is one.
func (r *reply) readChat() error {
	if r.request.translation != nil {
		return translate.Check(r.kept)
	}
	text, ok := dialect.ChatText(r.kept)
	if !ok {
		return errNoChat
	}
	r.text = text
	return nil
}

// judge says why a reply of a model that came with the status of success is no answer, nil
// if it is one. It also counts an answer whose usage says that there is none.
func (r *reply) judge(selfReported bool) error {
	usage, reported := r.meter.Reported()
	switch {
	case r.mode == modeError || r.mode == modeStream || selfReported:
		return nil
	case r.sound != nil || r.plain:
		if r.size == 0 {
			return errNoReply
		}
		if r.plain {
			r.counted = textTokens(r.size)
		}
		return nil
	case r.mode == modeWhole && !reported && dialect.SaysError(r.kept):
		return errOnlyError
	case r.mode == modeWhole && !r.request.call.Route.Spec.Answered(r.kept, usage.Output > 0):
		return errNoReply
	}
	form := r.request.call.Route.IsForm()
	if form || reported && usage.Input == 0 && usage.Output == 0 {
		text := r.size
		switch {
		case r.mode == modeBody:
		case form:
			text = dialect.TranscriptBytes(r.kept)
		default:
			text = dialect.TextBytes(r.kept)
		}
		r.counted = textTokens(text)
	}
	return nil
}

// passing reports whether parts of a body have been sent, so that the client cannot be
// sent another answer.
func (r *reply) passing() bool { return r.sent && r.mode == modeBody }

// reading returns what the reply showed.
func (r *reply) reading() reading {
	seen := reading{
		wrote: r.wrote, status: r.status, stream: r.mode == modeStream, passing: r.passing(),
		truncated: r.truncated(), redirects: r.redirects(), readError: r.readError, writeError: r.writeError,
		retryAfter: r.retryAfter,
		errorEvent: r.meter.Failed(), produced: r.meter.Produced(), early: r.meter.Early(),
		counted:   r.meter.Counted() + r.counted + r.sound.tokens(),
		inference: r.inference, hasInference: r.hasInference, measured: r.sound != nil || r.request.call.Route.IsForm(),
	}
	seen.usage, seen.hasUsage = r.meter.Reported()
	seen.heard = r.request.model.heard(seen.usage.Sound)
	return seen
}

// about is what a translated answer says of itself.
func (r *reply) about() translate.Answer {
	return translate.Answer{
		ID: strings.TrimPrefix(r.request.id, "req_"), Model: r.request.model.Name, Created: r.firstByte,
	}
}

// usage is what a translated answer says of its tokens: what the upstream reported, or else
// what was counted.
func (r *reply) usage() dialect.Usage {
	if usage, ok := r.meter.Reported(); ok && usage.Input+usage.Output > 0 {
		return usage
	}
	usage := dialect.Usage{Input: r.watch.admission.reserved.Input, Output: r.meter.Counted() + r.counted}
	if r.mode == modeTranslated && r.counted == 0 {
		usage.Output = textTokens(dialect.TextBytes(r.kept))
	}
	return usage
}

// translateWhole translates a whole reply.
func (r *reply) translateWhole() error {
	body, err := r.request.translation.Whole(r.kept, r.usage(), r.about())
	if err != nil {
		return err
	}
	media := "application/json"
	if r.request.call.Stream {
		media = "text/event-stream"
	}
	r.kept = body
	r.Header().Set("Content-Type", media)
	return nil
}

// sink returns who gets the events of the upstream's stream.
func (r *reply) sink() dialect.Sink {
	if r.request.translation == nil {
		return r
	}
	if r.stream == nil {
		r.stream = r.request.translation.Stream(r.about())
	}
	return (*translator)(r)
}

// flushEvents takes what is left of a stream that has ended.
func (r *reply) flushEvents() error {
	err := r.meter.Flush(r.sink())
	if err == nil && r.stream != nil && r.meter.Complete() {
		err = (*translator)(r).end()
	}
	if r.stream != nil && len(r.stream.Failure()) > 0 {
		r.kept = append(r.kept[:0], r.stream.Failure()...) // it is answered in the caller's shape
	}
	return err
}
