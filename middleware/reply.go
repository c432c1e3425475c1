package middleware

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect"
)

const (
	// maxWhole bounds a reply that is kept until its charge is durable, so that
	// its headers can name the charge. Larger ones pass, all but the last byte.
	maxWhole = 64 << 10
	// maxTranslated bounds a reply that is turned into another dialect.
	maxTranslated = 8 << 20
	// maxHeld bounds what may come after the event that ends a stream.
	maxHeld = 64 << 10
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

var (
	errReplyTooLarge = errors.New("the upstream's reply is too large to be translated")
	errNoChat        = errors.New("the upstream's reply is no chat completion")
	errOnlyError     = errors.New("the upstream answered with an error and the status of success")
	errPacked        = errors.New("the upstream's reply is in an encoding that cannot be read")
	errAfterEnd      = errors.New("the upstream goes on after the end of its stream")
)

// reply stands between the handler and the client: it reads usage out of what
// passes, and keeps back the end until the charge is durable.
type reply struct {
	x *exchange
	w http.ResponseWriter

	meter    dialect.Meter
	format   dialect.Format
	mode     mode
	status   int
	wrote    bool   // the handler has sent its header
	sent     bool   // the client has been sent one
	packed   bool   // in an encoding that cannot be read
	bodiless bool   // without a body, whatever length it announces
	kept     []byte // body so far, or what waits for the end
	unpack   *unpacker
	size     int64 // bytes that the handler wrote
	declared int64 // bytes that it announced, -1: none

	text         string // of a translated reply
	clientStatus int    // sent to the client, 0: none
	open         bool   // what the client got last is no whole line

	inference    time.Duration // X-Inference-Ms
	hasInference bool
	writeError   error // the client cannot be reached any more
	readError    error // the upstream's reply makes no sense
}

func newReply(x *exchange, w http.ResponseWriter) reply {
	strip := !x.call.IncludeUsage && !x.call.Route.Translated()
	return reply{x: x, w: w, declared: -1, meter: dialect.NewMeter(&x.call, strip)}
}

// flush sends what the client's connection has buffered.
func (r *reply) flush() error { return http.NewResponseController(r.w).Flush() }

// Header implements http.ResponseWriter.
func (r *reply) Header() http.Header { return r.w.Header() }

// Unwrap lets http.ResponseController reach what the gate does not concern.
func (r *reply) Unwrap() http.ResponseWriter { return r.w }

// Hijack is refused: a hijacked connection would pass unmetered. Without this
// method http.ResponseController would find the one below.
func (r *reply) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// WriteHeader implements http.ResponseWriter.
func (r *reply) WriteHeader(status int) {
	if r.wrote {
		return
	}
	if status >= 100 && status < 200 {
		if status != http.StatusSwitchingProtocols {
			r.w.WriteHeader(status)
		}
		return
	}
	r.wrote, r.status = true, status
	r.bodiless = r.bodiless || status == http.StatusNoContent || status == http.StatusNotModified
	r.x.firstByte = r.x.gate.now()
	header := r.w.Header()
	r.inference, r.hasInference = takeInference(header)
	dropTrailers(header)
	r.x.ownHeaders(header)
	if text := header.Get("Content-Length"); text != "" {
		if length, err := strconv.ParseInt(text, 10, 64); err == nil {
			r.declared = length
		}
	}
	if !r.bodiless {
		r.openEncoding(header)
	}
	r.mode = r.chooseMode(header)
	if r.mode == modeStream {
		r.send()
	}
}

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
	case r.packed && r.x.call.Route.Translated():
		r.readError = errPacked
		return modeTranslated
	case r.packed:
		return modeBody
	case r.x.call.Route.Translated() && !r.x.call.Stream:
		return modeTranslated // a stream that nobody asked for is no chat completion
	case media == "text/event-stream":
		r.format = dialect.SSE
		return modeStream
	case media == "application/x-ndjson" || media == "application/jsonl":
		r.format = dialect.NDJSON
		return modeStream
	case r.x.call.Route.Translated():
		return modeTranslated
	}
	return modeWhole
}

// takeTGICounts reads the figures that TGI sends in headers.
func (r *reply) takeTGICounts(header http.Header) {
	if r.x.call.Route.Kind != dialect.TGI {
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

// Write implements http.ResponseWriter.
func (r *reply) Write(piece []byte) (int, error) {
	if !r.wrote {
		r.WriteHeader(http.StatusOK)
	}
	if err := r.failed(); err != nil {
		return 0, err
	}
	r.size += int64(len(piece))
	if r.unpack != nil {
		if err := r.unpack.write(piece); err != nil && r.readError == nil {
			r.readError = err
		}
	} else {
		r.consume(piece)
	}
	if err := r.failed(); err != nil {
		return 0, err
	}
	return len(piece), nil
}

// failed returns why nothing more can pass.
func (r *reply) failed() error {
	if r.writeError != nil {
		return r.writeError
	}
	return r.readError
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

func (r *reply) write(piece []byte) {
	if r.writeError != nil || len(piece) == 0 {
		return
	}
	r.open = piece[len(piece)-1] != '\n'
	if _, err := r.w.Write(piece); err != nil {
		r.writeError = err
	}
}

// send sends the header of a reply that passes before its charge is known.
func (r *reply) send() {
	if r.sent {
		return
	}
	r.sent, r.clientStatus = true, r.status
	header := r.w.Header()
	if r.mode == modeStream || r.declared < 0 || r.unpack != nil {
		header.Del("Content-Length") // events may be taken out
		header.Add("Trailer", headerCharged)
	}
	r.x.setLimitHeaders(header)
	r.w.WriteHeader(r.status)
}

// Pass implements dialect.Sink.
func (r *reply) Pass(events []byte) error {
	if len(r.kept) > 0 { // nothing may overtake the end
		return r.Last(events)
	}
	r.write(events)
	if err := r.x.produced(r.meter.Counted()); err != nil {
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

// Flush implements http.Flusher.
func (r *reply) Flush() { _ = r.FlushError() }

// FlushError sends what may pass already.
func (r *reply) FlushError() error {
	if !r.wrote {
		r.WriteHeader(http.StatusOK)
	}
	if r.mode == modeWhole && len(r.kept) > 0 {
		r.letPass() // the handler wants it to leave now
	}
	if !r.sent || r.writeError != nil {
		return r.writeError
	}
	return r.flush()
}

// buffers are for ReadFrom.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadFrom implements io.ReaderFrom, by Write: the reader below would bypass the
// meter.
func (r *reply) ReadFrom(source io.Reader) (int64, error) {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	var sum int64
	for {
		n, err := source.Read(buffer[:])
		if n > 0 {
			written, writeErr := r.Write(buffer[:n])
			sum += int64(written)
			if writeErr != nil {
				return sum, writeErr
			}
		}
		if err == io.EOF {
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
	}
}
