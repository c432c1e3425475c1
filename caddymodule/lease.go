package caddymodule

import "sync"

// lease is one configuration's share in an engine. It is given back when the
// configuration is retired and the calls that began under it have ended: on a
// reload Caddy cleans the old modules up at once, while their streams still run
// and have yet to be charged.
//
// A server that drains may even begin a call after that. Such a call is let in as
// long as the share is held, and refused afterwards.
type lease struct {
	release func() // called once

	mu      sync.Mutex
	calls   int
	retired bool
	drained chan struct{} // closed when the share has been given back
}

func newLease(release func()) *lease {
	return &lease{release: release, drained: make(chan struct{})}
}

// begin counts a call in. It returns false if the share was given back.
func (l *lease) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired && l.calls == 0 {
		return false
	}
	l.calls++
	return true
}

// end counts a call out that begin let in.
func (l *lease) end() {
	l.mu.Lock()
	l.calls--
	last := l.retired && l.calls == 0
	l.mu.Unlock()
	if last {
		l.giveBack()
	}
}

// retire says that the configuration is no longer in use. More calls of retire
// do nothing.
func (l *lease) retire() {
	l.mu.Lock()
	last := !l.retired && l.calls == 0
	l.retired = true
	l.mu.Unlock()
	if last {
		l.giveBack()
	}
}

func (l *lease) giveBack() {
	l.release()
	close(l.drained)
}
