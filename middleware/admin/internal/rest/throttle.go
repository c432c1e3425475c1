package rest

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// FailureBurst failed attempts in a row are free, after that one per
	// FailureInterval. That is enough for a person who pastes the wrong key, and gives
	// a machine 14,400 guesses a day against keys of 190 random bits.
	FailureBurst = 10
	// FailureInterval is the pause for each failure beyond FailureBurst.
	FailureInterval = 6 * time.Second
	// maxAddresses bounds the memory of the throttle.
	maxAddresses = 10_000
)

// Throttle slows the attempts of addresses that keep failing to authenticate. A valid
// key is never slowed. Handlers that share one, or replace each other, count together.
// It is safe for concurrent use.
type Throttle struct {
	mu sync.Mutex
	// paidUntil is the time at which all failures of an address are forgotten. It
	// moves up by FailureInterval with each one.
	paidUntil map[netip.Addr]time.Time
}

// NewThrottle returns a throttle that has seen no failure.
func NewThrottle() *Throttle { return &Throttle{paidUntil: make(map[netip.Addr]time.Time)} }

// wait returns how long an address has to wait until another failure is answered as
// one; zero if it need not.
func (t *Throttle) wait(address netip.Addr, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	until, known := t.paidUntil[address]
	if !known {
		return 0
	}
	return max(0, until.Sub(now)-(FailureBurst-1)*FailureInterval)
}

// fail counts a failed attempt.
func (t *Throttle) fail(address netip.Addr, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.paidUntil[address]; !known && len(t.paidUntil) >= maxAddresses {
		t.makeRoom(now)
	}
	from := t.paidUntil[address]
	if from.Before(now) {
		from = now
	}
	t.paidUntil[address] = from.Add(FailureInterval)
}

// makeRoom drops the addresses whose failures are forgotten or, if there are none, the
// one that is nearest to it. So the worst addresses stay longest.
func (t *Throttle) makeRoom(now time.Time) {
	var nearest netip.Addr
	for address, until := range t.paidUntil {
		if until.Before(now) {
			delete(t.paidUntil, address)
		} else if !nearest.IsValid() || until.Before(t.paidUntil[nearest]) {
			nearest = address
		}
	}
	if len(t.paidUntil) >= maxAddresses {
		delete(t.paidUntil, nearest)
	}
}

// network returns what the throttle counts an address as: whole /64 networks in
// IPv6, because one subscriber has 2^64 addresses.
func network(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if address.Is6() {
		if prefix, err := address.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return address
}
