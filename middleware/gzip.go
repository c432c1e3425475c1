package middleware

import (
	"compress/gzip"
	"io"
	"iter"
)

// unpacker turns the pushed pieces of a gzip stream into pushed pieces of its
// content. The reader of the standard library pulls; the two meet in a
// coroutine, so that nothing runs at the same time.
type unpacker struct {
	piece  []byte // not read yet
	closed bool
	failed error
	resume func() (struct{}, bool)
	stop   func()
}

func newUnpacker(consume func([]byte)) *unpacker {
	u := &unpacker{}
	u.resume, u.stop = iter.Pull(func(yield func(struct{}) bool) {
		u.failed = u.run(pull{u, yield}, consume)
	})
	return u
}

func (u *unpacker) run(source io.Reader, consume func([]byte)) error {
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
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// write unpacks a piece as far as it goes.
func (u *unpacker) write(piece []byte) error {
	u.piece = piece
	if len(piece) > 0 {
		u.resume()
	}
	return u.failed
}

// close tells that nothing more comes, and returns an error if the content is
// not complete.
func (u *unpacker) close() error {
	u.closed = true
	u.resume()
	u.stop()
	return u.failed
}

// pull is the reader that the coroutine reads from.
type pull struct {
	u     *unpacker
	yield func(struct{}) bool
}

// Read waits in the coroutine until there is a piece.
func (p pull) Read(into []byte) (int, error) {
	for len(p.u.piece) == 0 {
		if p.u.closed || !p.yield(struct{}{}) {
			return 0, io.EOF // the gzip reader knows whether this is too early
		}
	}
	n := copy(into, p.u.piece)
	p.u.piece = p.u.piece[n:]
	return n, nil
}
