package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"syscall"
	"time"
)

// readBuffer is the size of a connection's read buffer in bytes, as net/http has it.
const readBuffer = 4 << 10

// errHeaderTooLarge says that the header of a reply has more bytes than allowed.
var errHeaderTooLarge = errors.New("the header of the reply is too large")

// connection is a connection to an upstream. One call at a time uses it.
type connection struct {
	net.Conn
	pool *Pool
	raw  syscall.RawConn
	in   *bufio.Reader

	left    int64     // bytes that may still be read of a header
	since   time.Time // when it was used last
	reused  bool      // it has served a call before
	written bool      // something of the current request has left

	stop    func() bool // ends the watch over the call's context
	abort   func()      // is close, bound once
	sending chan error  // the result of the goroutine that sends the rest, if there is one
	one     attempt     // what the functions below do
	writing func(uintptr) bool
	peeking func(uintptr) bool
}

// newConnection returns a connection that has served nothing yet.
func newConnection(p *Pool, raw net.Conn) (*connection, error) {
	c := &connection{Conn: raw, pool: p, left: math.MaxInt64}
	if err := c.bind(); err != nil {
		return nil, err
	}
	c.in = bufio.NewReaderSize(c, readBuffer)
	c.abort = c.close
	return c, nil
}

// Read implements io.Reader for the buffer. It limits the size of headers.
func (c *connection) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errHeaderTooLarge
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.Conn.Read(p)
	c.left -= int64(n)
	return n, err
}

// close closes the connection.
func (c *connection) close() { _ = c.Conn.Close() }

// exchange writes a request and reads the header of its reply.
func (c *connection) exchange(ctx context.Context, r *Request) (*http.Response, error) {
	c.stop = context.AfterFunc(ctx, c.abort)
	c.written = false
	sent := c.send(r)
	// An upstream that answers early may close the connection before it has read everything.
	// Then writing fails, and the reply is there nevertheless.
	response, err := c.receive(r)
	if err != nil && sent == nil && c.sending != nil {
		c.close()
		sent = <-c.sending
		c.sending = nil
		if !errors.Is(sent, errBodyLength) {
			sent = nil // it failed because the connection has ended
		}
	}
	if err != nil && sent != nil {
		err = sent
	}
	return response, err
}

// receive reads replies up to the final one.
func (c *connection) receive(r *Request) (*http.Response, error) {
	options := &c.pool.options
	if options.HeaderTimeout > 0 {
		_ = c.SetReadDeadline(time.Now().Add(options.HeaderTimeout))
		defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	}
	c.left = options.MaxHeader
	if _, err := c.in.Peek(1); err != nil {
		return nil, &noReplyError{err}
	}
	for {
		response, err := http.ReadResponse(c.in, r.Head)
		switch {
		case err != nil:
			return nil, fmt.Errorf("reading the reply: %w", err)
		case response.StatusCode == http.StatusSwitchingProtocols:
			return nil, errSwitches
		case response.StatusCode >= 100 && response.StatusCode < 200:
			r.Message.Interim(response.StatusCode, textproto.MIMEHeader(response.Header))
			c.left = options.MaxHeader
		default:
			c.left = math.MaxInt64
			return response, nil
		}
	}
}

// end ends a call: the connection is kept if nothing speaks against it. whole says that
// the reply has been read to its end.
func (c *connection) end(whole bool) {
	inTime := c.stop()
	if c.sending != nil {
		select {
		case err := <-c.sending:
			whole = whole && err == nil
		default: // the upstream has answered and does not want the rest
			whole = false
			c.close()
			<-c.sending
		}
		c.sending = nil
	}
	if whole && inTime && c.in.Buffered() == 0 {
		c.pool.give(c)
		return
	}
	c.close()
}

// errSwitches says that an upstream wants another protocol.
var errSwitches = errors.New("the upstream switches to another protocol without being asked")

// noReplyError says that the connection ended before the first byte of a reply.
type noReplyError struct{ error }

// Error implements error.
func (e *noReplyError) Error() string {
	if errors.Is(e.error, io.EOF) {
		return "the upstream closed the connection without a reply"
	}
	return fmt.Sprintf("waiting for the reply: %v", e.error)
}

// Unwrap returns why.
func (e *noReplyError) Unwrap() error { return e.error }

// isNoReply says that a connection ended before the first byte of a reply.
func isNoReply(err error) bool {
	var none *noReplyError
	return errors.As(err, &none) && !errors.Is(err, os.ErrDeadlineExceeded)
}
