package runtime

import (
	"errors"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// Lease is one configuration's share in an engine. It is given back when the
// configuration is retired and the calls that began under it have ended: on a
// reload Caddy cleans the old modules up at once, while their streams still run
// and have yet to be charged.
//
// A server that drains may even begin a call after that. Such a call is admitted as
// long as another lease holds a share, as the next configuration's does on a reload.
type Lease struct {
	release func()      // gives one share back
	renew   func() bool // takes a share again; false if there is nothing left to share

	mu      sync.Mutex
	calls   int
	retired bool
	drained chan struct{} // closed when the share has been given back first
	once    sync.Once     // closes drained
}

func newLease(release func(), renew func() bool) *Lease {
	return &Lease{release: release, renew: renew, drained: make(chan struct{})}
}

// ErrRetired is for calls that reach a configuration so late that what it shared may
// be closed.
var ErrRetired = errors.New("this configuration has been replaced")

// errGone says that what is to be shared is closed already.
var errGone = errors.New("closed")

// renewal takes another share in mine, which the pool knows by identity, unless
// it was closed.
func renewal(pool *caddy.UsagePool, identity string, mine any, release func()) func() bool {
	return func() bool {
		value, _, err := pool.LoadOrNew(identity, func() (caddy.Destructor, error) { return nil, errGone })
		if err != nil {
			return false
		}
		if value != mine { // closed, and opened again by a later configuration
			release()
			return false
		}
		return true
	}
}

// Begin notes that a call begins. It returns false if the share was released and no other
// lease holds one.
func (l *Lease) Begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired && l.calls == 0 && !l.renew() {
		return false
	}
	l.calls++
	return true
}

// End notes that a call has ended for which Begin returned true.
func (l *Lease) End() {
	if l.isLast() {
		l.giveBack()
	}
}

// EndBehind is End for what runs behind a gate. If that is the last to end, it is a
// call in the background, which is settled only when it has ended here: giving
// back waits for that, so it must not wait for giving back.
func (l *Lease) EndBehind() {
	if l.isLast() {
		go l.giveBack()
	}
}

// isLast notes that a call has ended and reports whether the share is to be released now.
func (l *Lease) isLast() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls--
	return l.retired && l.calls == 0
}

// Retire says that the configuration is no longer in use. More calls of Retire
// do nothing.
func (l *Lease) Retire() {
	l.mu.Lock()
	last := !l.retired && l.calls == 0
	l.retired = true
	l.mu.Unlock()
	if last {
		l.giveBack()
	}
}

func (l *Lease) giveBack() {
	l.release()
	l.once.Do(func() { close(l.drained) })
}
