package wire

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"
)

// Options are what a Pool needs to know. Durations of zero mean that there is no limit.
type Options struct {
	// Dial opens a connection to the upstream.
	Dial func(context.Context) (net.Conn, error)
	// MaxIdle is how many connections are kept that nobody uses; 0 keeps none.
	MaxIdle int
	// IdleTimeout is how long a connection is kept that nobody uses.
	IdleTimeout time.Duration
	// HeaderTimeout is how long the upstream may take for the header of its reply, once
	// the request is written.
	HeaderTimeout time.Duration
	// MaxHeader limits the bytes of a reply's header. Default: 10 MiB.
	MaxHeader int64
}

// defaultMaxHeader is the limit that net/http's Transport has.
const defaultMaxHeader = 10 << 20

// Pool keeps the connections to one upstream. It is safe for concurrent use.
type Pool struct {
	options Options

	mutex  sync.Mutex
	idle   []*connection // the longest unused first
	sweep  *time.Timer   // runs while connections are idle
	closed bool
}

// NewPool returns a Pool without connections.
func NewPool(options Options) *Pool {
	if options.MaxHeader == 0 {
		options.MaxHeader = defaultMaxHeader
	}
	return &Pool{options: options}
}

// Close closes the connections that nobody uses, and lets none be kept any more.
// Calls that run are not disturbed, and more can be made.
func (p *Pool) Close() {
	p.mutex.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	if p.sweep != nil {
		p.sweep.Stop()
		p.sweep = nil
	}
	p.mutex.Unlock()
	closeAll(idle)
}

// Idle returns how many connections are open that nobody uses.
func (p *Pool) Idle() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return len(p.idle)
}

// take returns an idle connection that the upstream has not closed, or a new one.
func (p *Pool) take(ctx context.Context) (*connection, error) {
	for {
		c := p.pop()
		if c == nil {
			break
		}
		if c.quiet() {
			c.reused = true
			return c, nil
		}
		c.close()
	}
	raw, err := p.options.Dial(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &DialError{err}
	}
	c, err := newConnection(p, raw)
	if err != nil {
		_ = raw.Close()
		return nil, &DialError{err}
	}
	return c, nil
}

// pop takes the connection that was used last: its neighbours get the chance to expire.
func (p *Pool) pop() *connection {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// give keeps a connection for the next call, or closes it.
func (p *Pool) give(c *connection) {
	p.mutex.Lock()
	if p.closed || len(p.idle) >= p.options.MaxIdle {
		p.mutex.Unlock()
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	if p.options.IdleTimeout > 0 {
		c.since = time.Now()
		if p.sweep == nil {
			p.sweep = time.AfterFunc(p.options.IdleTimeout, p.expire)
		}
	}
	p.mutex.Unlock()
}

// expire closes the connections that nobody has used for too long.
func (p *Pool) expire() {
	p.mutex.Lock()
	now, expired := time.Now(), 0
	for expired < len(p.idle) && now.Sub(p.idle[expired].since) >= p.options.IdleTimeout {
		expired++
	}
	old := slices.Clone(p.idle[:expired])
	p.idle = slices.Delete(p.idle, 0, expired)
	switch {
	case p.closed || len(p.idle) == 0:
		p.sweep = nil
	case p.sweep != nil:
		p.sweep.Reset(max(p.options.IdleTimeout-now.Sub(p.idle[0].since), time.Millisecond))
	}
	p.mutex.Unlock()
	closeAll(old)
}

// closeAll closes connections.
func closeAll(connections []*connection) {
	for _, c := range connections {
		c.close()
	}
}
