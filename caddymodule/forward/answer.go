package forward

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// Interim implements wire.Message: it passes a reply with a status of 1xx on.
func (c *call) Interim(status int, upstream textproto.MIMEHeader) {
	header := c.writer.Header()
	own := maps.Clone(header)
	passed := http.Header(upstream)
	dropHops(passed)
	addAll(header, passed)
	c.writer.WriteHeader(status)
	clear(header)
	maps.Copy(header, own)
}

// answer passes the upstream's reply on to the client.
func (c *call) answer() error {
	defer c.release(false)
	reply := c.reply.Response
	if reply.StatusCode < 100 { // net/http would panic
		return fmt.Errorf("%w: %d", errStatus, reply.StatusCode)
	}
	header := c.writer.Header()
	delete(header, "Server")
	dropHops(reply.Header)
	header["Via"] = append(header["Via"], via(reply.ProtoMajor, reply.ProtoMinor))
	addAll(header, reply.Header)
	announced := len(reply.Trailer)
	if announced > 0 {
		names := slices.Sorted(maps.Keys(reply.Trailer))
		header["Trailer"] = append(header["Trailer"], strings.Join(names, ", "))
	}
	c.writer.WriteHeader(reply.StatusCode)
	if err := c.copyBody(); err != nil {
		c.abort(err)
	}
	c.release(true)
	if len(reply.Trailer) > 0 {
		_ = c.flushWriter() // or a short body would go without trailers
		addTrailers(header, reply.Trailer, len(reply.Trailer) == announced)
	}
	c.lasted = time.Since(c.attempt)
	return nil
}

// release gives the connection to the upstream back, once. whole says that the reply
// has been read to its end.
func (c *call) release(whole bool) {
	if !c.released {
		c.released = true
		c.reply.End(whole)
	}
}

// errStatus says that a reply makes no sense.
var errStatus = errors.New("the upstream's reply has a status that does not exist")

// abort ends an answer that cannot be completed. The header has left: the client
// must see that the connection breaks.
func (c *call) abort(err error) {
	level := zap.WarnLevel
	if errors.Is(err, errClientGone) && c.request.Context().Err() != nil {
		level = zap.DebugLevel
	}
	if entry := c.handler.log.Check(level, "aborting with incomplete response"); entry != nil {
		entry.Write(zap.Error(err), zap.String("upstream", c.upstream.Dial))
	}
	_ = c.flushWriter()
	panic(http.ErrAbortHandler)
}

// flushWriter sends what the client's connection has buffered.
func (c *call) flushWriter() error { return http.NewResponseController(c.writer).Flush() }

// via returns the value of the header Via for a reply.
func via(major, minor int) string {
	if major == 1 && minor == 1 {
		return "1.1 Caddy"
	}
	return string(append(appendVersion(nil, major, minor), " Caddy"...))
}

// dropHops removes what is about the connection to the upstream.
func dropHops(header http.Header) {
	for _, line := range header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				header.Del(name)
			}
		}
	}
	for name := range header {
		if isHop(name) {
			delete(header, name)
		}
	}
}

// addAll adds the fields of a header that is not needed any more to another one.
func addAll(header, more http.Header) {
	for name, values := range more {
		if already, named := header[name]; named {
			values = append(already, values...)
		}
		header[name] = values
	}
}

// addTrailers passes trailers on. Those that were not announced need a prefix.
func addTrailers(header, trailers http.Header, announced bool) {
	if announced {
		addAll(header, trailers)
		return
	}
	for name, values := range trailers {
		header[http.TrailerPrefix+name] = append(header[http.TrailerPrefix+name], values...)
	}
}

const (
	// wholeBuffer is the memory in bytes that a reply of a known length is copied through.
	wholeBuffer = 32 << 10
	// pieceBuffer is that of a stream, which holds it for long.
	pieceBuffer = 4 << 10
)

var (
	wholeBuffers = sync.Pool{New: func() any { return new([wholeBuffer]byte) }}
	pieceBuffers = sync.Pool{New: func() any { return new([pieceBuffer]byte) }}
)

// errClientGone says that the client takes no more.
var errClientGone = errors.New("writing to the client")

// copyBody passes the body of the reply on.
func (c *call) copyBody() error {
	reply := c.reply.Response
	if reply.Body == http.NoBody && !c.leavesAtOnce() {
		return nil
	}
	if reply.ContentLength > pieceBuffer {
		buffer := wholeBuffers.Get().(*[wholeBuffer]byte)
		defer wholeBuffers.Put(buffer)
		return c.copyThrough(buffer[:])
	}
	buffer := pieceBuffers.Get().(*[pieceBuffer]byte)
	defer pieceBuffers.Put(buffer)
	return c.copyThrough(buffer[:])
}

// copyThrough passes the body of the reply on piece by piece.
func (c *call) copyThrough(buffer []byte) error {
	flush := c.leavesAtOnce()
	if flush {
		_ = c.flushWriter() // the client learns that an answer comes
	}
	for {
		n, err := c.reply.Body.Read(buffer)
		if err == io.EOF {
			c.release(true) // the client has the answer only when the connection is free again
		}
		if n > 0 {
			if _, err := c.writer.Write(buffer[:n]); err != nil {
				return fmt.Errorf("%w: %w", errClientGone, err)
			}
			if flush {
				_ = c.flushWriter() // the next Write says why, if it matters
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the reply: %w", err)
		}
	}
}

// leavesAtOnce says that the client gets each piece of the reply as soon as it has come:
// it is a stream, or the operator wants it so.
func (c *call) leavesAtOnce() bool {
	reply := c.reply.Response
	if c.handler.flush || reply.ContentLength == -1 || caddyhttp.IsIncremental(reply.Header) {
		return true
	}
	const stream = "text/event-stream"
	kind := reply.Header["Content-Type"]
	if len(kind) == 0 || len(kind[0]) < len(stream) {
		return false
	}
	parsed, _, err := mime.ParseMediaType(kind[0])
	return err == nil && parsed == stream
}
