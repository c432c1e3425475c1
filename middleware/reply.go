package middleware

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect"
	"github.com/penstockhq/penstock/middleware/internal/rename"
	"github.com/penstockhq/penstock/middleware/internal/unpack"
	"github.com/penstockhq/penstock/middleware/translate"
)

const (
	// maxWhole limits a reply that is kept until its charge is durable, so that
	// its headers can name the charge. Larger ones pass, all but the last byte.
	maxWhole = 64 << 10
	// maxTranslated limits a reply that is turned into another dialect.
	maxTranslated = 8 << 20
	// maxHeld limits what may come after the event that ends a stream.
	maxHeld = 64 << 10
)

var (
	errReplyTooLarge = errors.New("the upstream's reply is too large to be translated")
	errNoChat        = translate.ErrNoChat
	errOnlyError     = errors.New("the upstream answered with an error and the status of success")
	errOpaque        = errors.New("the upstream's reply is encoded in a way that the gate did not ask for")
	errNoReply       = errors.New("the upstream's reply holds no answer")
	errStatus        = errors.New("the upstream's reply has a status that does not exist")
	errAfterEnd      = errors.New("the upstream kept sending after the end of its stream")
)

// reply stands between the handler and the client. It reads usage from what
// passes and holds the end back until the charge is durable.
type reply struct {
	w       http.ResponseWriter
	request *request
	headers *headers
	watch   *watch
	rename  *rename.Model     // nil: the upstreams' name of the model is the public one
	stream  *translate.Stream // of a translated stream

	meter     dialect.Meter
	status    int
	firstByte time.Time

	format       dialect.Format
	mode         mode
	wrote        bool // the handler has sent its header
	sent         bool // the client has received one
	opaque       bool // compressed in a way that the gate cannot read
	bodiless     bool // without a body, whatever length it announces
	open         bool // the last thing sent to the client is not a whole line
	hasInference bool

	inference    time.Duration // X-Inference-Ms
	retryAfter   time.Duration // of an error, 0: unknown
	kept         []byte        // body so far, or what waits for the end
	gzip         *unpack.Gzip
	size         int64  // bytes that the handler wrote
	declared     int64  // bytes that it announced, -1: none
	text         string // of a translated reply
	clientStatus int    // sent to the client, 0: none
	writeError   error  // the client cannot be reached any more
	readError    error  // the upstream's reply makes no sense
	fault        error  // nor does its header; what follows is not passed on
	counted      int64  // tokens of a whole answer that its usage leaves out
	sound        *sound // of an answer that is one
	plain        bool   // an answer is text, and no JSON
}

// newReply returns the writer that the next handler gets.
func newReply(w http.ResponseWriter, q *request, h *headers, running *watch) reply {
	strip := !q.call.IncludeUsage && !q.toChat()
	r := reply{
		w: w, request: q, headers: h, watch: running,
		declared: -1, meter: dialect.NewMeter(&q.call, strip),
	}
	if q.translation != nil {
		r.meter = dialect.NewMeter(&chatCall, false)
	} else if q.model.upstream() != q.model.Name {
		r.rename = rename.New(q.model.Name)
	}
	return r
}

// renamed returns a piece of what passes with the public name of the model in it.
func (r *reply) renamed(piece []byte) []byte {
	if r.rename == nil {
		return piece
	}
	format := rename.JSON
	if r.mode == modeStream {
		if format = rename.SSE; r.format == dialect.NDJSON {
			format = rename.NDJSON
		}
	}
	return r.rename.Apply(format, piece)
}

// flush sends what the client's connection has buffered.
func (r *reply) flush() error { return http.NewResponseController(r.w).Flush() }

// Header implements http.ResponseWriter.
func (r *reply) Header() http.Header { return r.w.Header() }

// Unwrap lets http.ResponseController reach what does not concern the gate.
func (r *reply) Unwrap() http.ResponseWriter { return r.w }

// Hijack is refused: a hijacked connection would pass unmetered. Without this
// method http.ResponseController would use that of the wrapped writer.
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
			r.headers.clean(r.w.Header())
			r.w.WriteHeader(status)
		}
		return
	}
	r.wrote, r.status = true, status
	if noStatus(status) {
		r.status, r.fault = http.StatusBadGateway, errStatus
	}
	r.bodiless = r.bodiless || status == http.StatusNoContent || status == http.StatusNotModified
	r.firstByte = r.headers.now()
	header := r.w.Header()
	r.inference, r.hasInference = takeInference(header)
	dropTrailers(header)
	r.headers.clean(header)
	if status >= 400 {
		r.retryAfter = retryAfter(header, r.firstByte)
	}
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

// Write implements http.ResponseWriter.
func (r *reply) Write(piece []byte) (int, error) {
	if !r.wrote {
		r.WriteHeader(http.StatusOK)
	}
	if err := r.failed(); err != nil {
		return 0, err
	}
	if r.size == 0 && len(piece) > 0 && r.status < http.StatusBadRequest && r.fault == nil {
		r.watch.feedback.firstByte()
	}
	r.size += int64(len(piece))
	if r.gzip != nil {
		if err := r.gzip.Write(piece); err != nil && r.readError == nil {
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

// failed returns nil if more of the reply can pass, and otherwise why not.
func (r *reply) failed() error {
	if r.writeError != nil {
		return r.writeError
	}
	return r.readError
}

// write sends a piece to the client.
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
	if r.mode == modeStream || r.declared < 0 || r.gzip != nil || r.rename != nil {
		header.Del("Content-Length") // events may be taken out, and names have other lengths
		header.Add("Trailer", headerCharged)
	}
	r.headers.setLimits(header)
	r.w.WriteHeader(r.status)
}

// sendKept sends a reply that was kept until its end.
func (r *reply) sendKept() {
	r.sent, r.clientStatus = true, r.status
	r.headers.setLimits(r.w.Header())
	r.w.WriteHeader(r.status)
	r.write(r.kept)
}

// Flush implements http.Flusher.
func (r *reply) Flush() { _ = r.FlushError() }

// FlushError is Flush with an error. It sends what may pass already.
func (r *reply) FlushError() error {
	if !r.wrote {
		r.WriteHeader(http.StatusOK)
	}
	if r.mode == modeWhole && len(r.kept) > 0 && r.request.custom != nil {
		r.letPass() // the handler wants it to leave now; an answer of a model is looked at first
	}
	if !r.sent || r.writeError != nil {
		return r.writeError
	}
	return r.flush()
}

// buffers is the memory that ReadFrom copies through.
var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadFrom implements io.ReaderFrom, by Write: that of the wrapped writer would
// bypass the meter.
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

// translator passes the events of a chat completion on as those of the caller's API.
type translator reply

// Pass implements dialect.Sink.
func (t *translator) Pass(events []byte) error {
	made, err := t.stream.Feed(events)
	if passed := (*reply)(t).Pass(made); passed != nil {
		return passed
	}
	return err
}

// Last implements dialect.Sink.
func (t *translator) Last(events []byte) error {
	if err := t.Pass(events); err != nil {
		return err
	}
	return t.end()
}

// end holds the end of the answer back, or the end of the last event if that is long:
// clients act on an event only once its blank line arrives.
func (t *translator) end() error {
	r := (*reply)(t)
	events := t.stream.End(r.usage())
	if len(events) > maxHeld/2 {
		whole := len(events) - len("\n\n") - 1
		if err := r.Pass(events[:whole]); err != nil {
			return err
		}
		events = events[whole:]
	}
	return r.Last(events)
}
