package wire

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// bufferSize is how much of a request is written at once, in bytes.
const bufferSize = 64 << 10

// buffers is the memory that requests are written from.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// errBodyLength says that a body is not as long as was said.
var errBodyLength = errors.New("the body of the request does not have the length that was announced")

// send writes a request. It does not wait for the upstream: what the system does not take
// at once is sent by a goroutine while the reply is read, because that may come early.
func (c *connection) send(r *Request) error {
	rest := remainder{buffer: buffers.Get().(*[bufferSize]byte), left: r.Length}
	if err := rest.begin(r); err != nil {
		rest.drop()
		c.close() // nobody would answer what is not whole
		return err
	}
	for {
		n, err := c.writeNow(rest.piece)
		c.written = c.written || n > 0
		rest.piece = rest.piece[n:]
		switch {
		case err != nil:
			rest.drop()
			return fmt.Errorf("writing the request: %w", err)
		case len(rest.piece) > 0:
			left, done := rest, make(chan error, 1)
			c.sending = done
			go func() { done <- left.send(c) }()
			return nil
		case rest.left == 0:
			rest.drop()
			return nil
		}
		if rest.piece, err = rest.fill(rest.buffer[:0]); err != nil {
			rest.drop()
			c.close()
			return err
		}
	}
}

// remainder is the part of a request that has not been written.
type remainder struct {
	buffer *[bufferSize]byte
	piece  []byte // of the buffer, if it is not larger
	body   io.ReadCloser
	left   int64 // bytes of the body that are not in the piece
}

// begin takes the header and the beginning of the body.
func (m *remainder) begin(r *Request) error {
	m.piece = r.Message.AppendHeader(m.buffer[:0])
	if r.Length == 0 {
		return nil
	}
	var err error
	if m.body, err = r.Message.Body(); err != nil {
		return err
	}
	m.piece, err = m.fill(m.piece)
	return err
}

// fill appends as much of the body to a piece as fits into its memory.
func (m *remainder) fill(piece []byte) ([]byte, error) {
	n := min(int64(cap(piece)-len(piece)), m.left)
	end := len(piece) + int(n)
	if _, err := io.ReadFull(m.body, piece[len(piece):end]); err != nil {
		return piece, fmt.Errorf("%w: %w", errBodyLength, err)
	}
	m.left -= n
	return piece[:end], nil
}

// send writes the rest, for as long as the connection lasts.
func (m *remainder) send(c *connection) error {
	defer m.drop()
	for {
		if _, err := c.Conn.Write(m.piece); err != nil || m.left == 0 {
			return err
		}
		var err error
		if m.piece, err = m.fill(m.buffer[:0]); err != nil {
			c.close() // ends the wait for a reply, too
			return err
		}
	}
}

// drop returns the memory.
func (m *remainder) drop() {
	if m.body != nil {
		_ = m.body.Close()
	}
	buffers.Put(m.buffer)
}
