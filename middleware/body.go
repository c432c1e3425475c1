package middleware

import (
	"bytes"
	"io"
	"math/bits"
	"net/http"
	"sync"
)

const (
	// smallBody is the size in bytes up to which bodies get memory of their own.
	smallBody = 4 << 10
	// largeBody is the size above which memory is not kept for the next body.
	largeBody = 1 << 20
)

// bodyPool keeps the memory of requests' bodies for later ones. A long prompt is
// hundreds of kilobytes; made anew for each call, they keep the collector busy.
// Sizes are powers of two, so that a body does not hold much more than it needs
// for as long as its answer takes.
type bodyPool [21]sync.Pool // of *[]byte, by the logarithm of the size

// kept says which sizes the pool keeps, and where.
func (p *bodyPool) kept(size int) (class int, kept bool) {
	return bits.Len(uint(size - 1)), size > smallBody && size <= largeBody
}

// ready returns memory of a size if some lies ready, else nil.
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

// give takes memory back that take returned and nobody uses any more.
func (p *bodyPool) give(memory []byte) {
	memory = memory[:cap(memory)]
	if class, kept := p.kept(len(memory)); kept && len(memory) == 1<<class {
		p[class].Put(&memory)
	}
}

// body is a call's body on its way to an upstream.
type body struct {
	x    *exchange
	rest bytes.Reader
}

// openBody returns the body that goes to the upstream, from its beginning.
func (x *exchange) openBody() (io.ReadCloser, error) {
	b := &body{x: x}
	x.bodyMutex.Lock()
	defer x.bodyMutex.Unlock()
	b.rest.Reset(x.body)
	return b, nil
}

// Read implements io.Reader. A transport may read on when the handler has
// returned, or read and close at the same time: like those of net/http, the body
// ends with the handler, because its memory then serves another call.
func (b *body) Read(p []byte) (int, error) {
	b.x.bodyMutex.Lock()
	defer b.x.bodyMutex.Unlock()
	if b.x.dropped {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.rest.Read(p)
}

// Close implements io.Closer.
func (b *body) Close() error { return nil }

// drop gives up the bodies of a call that is over.
func (x *exchange) drop() {
	x.bodyMutex.Lock()
	defer x.bodyMutex.Unlock()
	if x.dropped {
		return
	}
	x.gate.bodies.give(x.received)
	if x.rewritten {
		x.gate.bodies.give(x.body)
	}
	x.dropped, x.received, x.body = true, nil, nil
}
