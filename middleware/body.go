package middleware

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/bits"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// firstRead limits the memory that a declared length gets before its bytes arrive.
const firstRead = 64 << 10

// body is a request's body as it came and as it goes to the upstream. It owns the
// memory of both and returns it to the pool when the call is over.
type body struct {
	pool *bodyPool

	mutex    sync.Mutex // guards what follows: transports read from their own goroutines
	received []byte
	sent     []byte   // may be received itself, or its beginning
	behind   [][]byte // what follows sent; shares the memory of received
	gone     bool     // the memory serves other calls
}

// read reads the whole request, decompressed if it came compressed.
func (b *body) read(w http.ResponseWriter, r *http.Request, limit int64) *dialect.Refusal {
	if r.ContentLength > limit {
		return refuseLarge(limit)
	}
	encoding, ok := contentEncoding(r.Header)
	if !ok {
		return refuseEncoding()
	}
	if r.ContentLength > 0 && encoding == "" {
		raw, err := b.pool.read(r.Body, int(r.ContentLength))
		if err != nil {
			b.pool.give(raw)
			return refuseRead(err)
		}
		b.received = raw
		return nil
	}
	var source io.Reader = http.MaxBytesReader(w, r.Body, limit)
	if encoding == "gzip" {
		content, err := gzip.NewReader(source)
		if err != nil {
			return refuseRead(err)
		}
		source = io.LimitReader(content, limit+1)
	}
	var buffer bytes.Buffer
	if _, err := buffer.ReadFrom(source); err != nil {
		return refuseRead(err)
	}
	if int64(buffer.Len()) > limit {
		return refuseLarge(limit)
	}
	b.received = buffer.Bytes()
	return nil
}

// contentEncoding returns gzip or nothing, what all Content-Encoding lines together
// name. ok is false for everything else: what a server behind the gate would undo
// differently is not for the gate to guess.
func contentEncoding(header http.Header) (encoding string, ok bool) {
	for _, line := range header["Content-Encoding"] {
		for name := range strings.SplitSeq(line, ",") {
			switch name = strings.ToLower(strings.Trim(name, " \t")); name {
			case "", "identity":
			case "gzip", "x-gzip":
				if encoding != "" {
					return "", false
				}
				encoding = "gzip"
			default:
				return "", false
			}
		}
	}
	return encoding, true
}

// open returns the body that goes to the upstream, from its beginning.
func (b *body) open() (io.ReadCloser, error) {
	reader := &bodyReader{body: b}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	reader.rest.Reset(b.sent)
	reader.behind = b.behind
	return reader, nil
}

// length returns the size of the body that goes to the upstream.
func (b *body) length() int {
	size := len(b.sent)
	for _, piece := range b.behind {
		size += len(piece)
	}
	return size
}

// drop returns the memory of a call that is over.
func (b *body) drop() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.gone {
		return
	}
	b.pool.give(b.received)
	if len(b.sent) > 0 && &b.sent[0] != &b.received[0] {
		b.pool.give(b.sent)
	}
	b.gone, b.received, b.sent, b.behind = true, nil, nil, nil
}

// bodyReader reads a body on its way to an upstream.
type bodyReader struct {
	body   *body
	rest   bytes.Reader
	behind [][]byte
}

// Read implements io.Reader. A transport may read on when the handler has
// returned, or read and close at the same time: like those of net/http, the body
// ends with the handler, because its memory then serves another call.
func (r *bodyReader) Read(p []byte) (int, error) {
	r.body.mutex.Lock()
	defer r.body.mutex.Unlock()
	if r.body.gone {
		return 0, http.ErrBodyReadAfterClose
	}
	for r.rest.Len() == 0 && len(r.behind) > 0 {
		r.rest.Reset(r.behind[0])
		r.behind = r.behind[1:]
	}
	return r.rest.Read(p)
}

// Close implements io.Closer.
func (r *bodyReader) Close() error { return nil }

const (
	// smallBody is the size in bytes up to which bodies get memory of their own.
	smallBody = 4 << 10
	// largeBody is the size above which memory is not kept for the next body.
	largeBody = 1 << 20
)

// bodyPool keeps the memory of requests' bodies for later ones. A long prompt is
// hundreds of kilobytes; allocated for each call, they keep the garbage collector busy.
// Sizes are powers of two, so that a body does not hold much more than it needs
// for as long as its answer takes.
type bodyPool [21]sync.Pool // of *[]byte, by the logarithm of the size

// kept says whether the pool keeps memory of a size, and in which class.
func (p *bodyPool) kept(size int) (class int, kept bool) {
	return bits.Len(uint(size - 1)), size > smallBody && size <= largeBody
}

// ready returns pooled memory of a size, or nil if there is none.
func (p *bodyPool) ready(size int) []byte {
	if class, kept := p.kept(size); kept {
		if memory, ok := p[class].Get().(*[]byte); ok {
			return (*memory)[:size]
		}
	}
	return nil
}

// take returns memory of a size.
func (p *bodyPool) take(size int) []byte {
	if memory := p.ready(size); memory != nil {
		return memory
	}
	if class, kept := p.kept(size); kept {
		return make([]byte, 1<<class)[:size]
	}
	return make([]byte, size)
}

// give takes memory back that take returned and that is no longer in use.
func (p *bodyPool) give(memory []byte) {
	memory = memory[:cap(memory)]
	if class, kept := p.kept(len(memory)); kept && len(memory) == 1<<class {
		p[class].Put(&memory)
	}
}

// read reads a body of a known length. It allocates memory for the whole body only when
// the first part has arrived, so that a false length costs nothing.
func (p *bodyPool) read(source io.Reader, length int) ([]byte, error) {
	raw := p.ready(length)
	if raw == nil && length <= firstRead {
		raw = p.take(length)
	}
	if raw != nil {
		_, err := io.ReadFull(source, raw)
		return raw, err
	}
	first := p.take(firstRead)
	defer p.give(first)
	if _, err := io.ReadFull(source, first); err != nil {
		return nil, err
	}
	raw = p.take(length)
	_, err := io.ReadFull(source, raw[copy(raw, first):])
	return raw, err
}

// refuseRead refuses a body that could not be read.
func refuseRead(err error) *dialect.Refusal {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refuseLarge(large.Limit) // perhaps that of a handler before the gate
	}
	return &dialect.Refusal{
		Reason: dialect.BadRequest, Code: "unreadable_body", Final: true,
		Message: "the body could not be read to its end",
	}
}

// lingerBytes and lingerTime limit what is read of a refused request's body after the
// answer. Many clients read no answer until they have sent their whole body, and one
// whose connection is closed while it sends loses the answer (RFC 9112, section 9.6).
const (
	lingerBytes = 16 << 20
	lingerTime  = 5 * time.Second
)

// bodyAhead says that a part of a request's body may not have arrived yet. HTTP/2 and
// later end a stream without the rest of it.
func bodyAhead(r *http.Request) bool {
	return r.ProtoMajor == 1 && r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0
}

// answerEarly lets the next answer leave before the request's body has come. Left to
// itself net/http reads up to 256 KiB of the body first, for as long as the client takes.
func answerEarly(w http.ResponseWriter, r *http.Request) {
	if !bodyAhead(r) {
		return
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // where it cannot, the answer only comes later
	if r.ContentLength > lingerBytes || r.Header.Get("Expect") != "" {
		w.Header().Set("Connection", "close")
	}
}

// linger sends the answer and then takes what is left of the body, within bounds. If
// that is not all, it closes the connection: the rest would be read as a request.
func linger(w http.ResponseWriter, r *http.Request) {
	if !bodyAhead(r) {
		return
	}
	control := http.NewResponseController(w)
	if control.Flush() != nil || r.Header.Get("Expect") != "" {
		return // a client that waits for leave to send its body has none to take
	}
	if control.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	if drained(r.Body) {
		_ = control.SetReadDeadline(time.Time{}) // the connection serves the next request
		return
	}
	if connection, _, err := control.Hijack(); err == nil {
		_ = connection.Close()
	}
}

// drained reads a body, within bounds, and says whether it came to its end.
func drained(body io.Reader) bool {
	buffer := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buffer)
	end := time.Now().Add(lingerTime)
	for taken := 0; taken < lingerBytes && time.Now().Before(end); {
		n, err := body.Read(buffer[:])
		if taken += n; err != nil {
			return err == io.EOF
		}
	}
	return false
}
