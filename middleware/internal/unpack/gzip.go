// Package unpack decompresses replies while they pass.
package unpack

import (
	"compress/gzip"
	"errors"
	"io"
	"iter"
)

// Gzip takes the pieces of a gzip stream as they are written and hands on
// the pieces of its content. The standard library's reader wants to read instead;
// the two meet in a coroutine, so that nothing runs at the same time. Every Gzip must be closed.
type Gzip struct {
	piece  []byte // not read yet
	closed bool
	failed error
	resume func() (struct{}, bool)
	stop   func()
}

// NewGzip returns a Gzip that hands its content to consume.
func NewGzip(consume func([]byte)) *Gzip {
	d := &Gzip{}
	d.resume, d.stop = iter.Pull(func(yield func(struct{}) bool) {
		d.failed = d.run(pull{d, yield}, consume)
	})
	return d
}

// run reads the stream to its end, inside the coroutine.
func (d *Gzip) run(source io.Reader, consume func([]byte)) error {
	content, err := gzip.NewReader(source)
	if err != nil {
		return err
	}
	buffer := make([]byte, 32<<10)
	for {
		n, err := content.Read(buffer)
		if n > 0 {
			consume(buffer[:n])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Write decompresses a piece as far as it goes. The error is that of the stream so far.
func (d *Gzip) Write(piece []byte) error {
	d.piece = piece
	if len(piece) > 0 {
		d.resume()
	}
	return d.failed
}

// Close ends the stream and returns an error if its content is not complete.
func (d *Gzip) Close() error {
	d.closed = true
	d.resume()
	d.stop()
	return d.failed
}

// pull is the reader that the coroutine reads from.
type pull struct {
	from  *Gzip
	yield func(struct{}) bool
}

// Read waits in the coroutine until there is a piece.
func (p pull) Read(into []byte) (int, error) {
	for len(p.from.piece) == 0 {
		if p.from.closed || !p.yield(struct{}{}) {
			return 0, io.EOF // the gzip reader knows whether this is too early
		}
	}
	n := copy(into, p.from.piece)
	p.from.piece = p.from.piece[n:]
	return n, nil
}
