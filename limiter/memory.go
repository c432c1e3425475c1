package limiter

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// Memory is a limiter that keeps its counters in memory, for one process. All
// methods are safe for concurrent use. It starts no goroutine and never waits:
// contexts are accepted for the sake of stores that do, and not consulted.
//
// A scope costs 64 bytes, 8 bytes per log entry and about 16 bytes of index.
// What has expired is dropped as other calls come, a little with each.
type Memory struct {
	shards   [shardCount]shard
	names    hasher
	secret   [2]uint64
	clock    Clock // nil: the machine's
	start    time.Time
	calendar calendar
	strict   bool
	entries  int
	maxKeys  int64
	scopes   atomic.Int64 // scopes that count towards maxKeys
	imported time.Time    // when the snapshot that was read had been taken; zero: none was
	closed   atomic.Bool
}

// New returns an empty limiter.
func New(options ...Option) *Memory {
	m := &Memory{start: time.Now(), entries: DefaultEntries, maxKeys: DefaultMaxKeys}
	m.calendar.zone, m.calendar.wall = time.UTC, time.Now
	for _, option := range options {
		option(m)
	}
	var seed [48]byte
	rand.Read(seed[:]) // never fails
	for i := range m.names {
		m.names[i] = binary.LittleEndian.Uint64(seed[8*i:])
	}
	m.secret = [2]uint64{binary.LittleEndian.Uint64(seed[32:]), binary.LittleEndian.Uint64(seed[40:])}
	for i := range m.shards {
		m.shards[i].entries = m.entries
		m.shards[i].slot = max(1, 2*windowMS/int64(m.entries))
	}
	return m
}

// Reserve admits a call and charges its upper bound of tokens to the key, and to
// the key's use of the model if a row names that model; or refuses it and changes
// nothing. Rows of other models do not apply. A row without limits only counts:
// use of a model is known from the first call on that has a row for it. Errors:
// *ValueError for values out of range, ErrFull, ErrClosed.
func (m *Memory) Reserve(_ context.Context, request Request) (decision Decision, err error) {
	has, err := check(&request)
	if err != nil {
		return decision, err
	}
	if m.closed.Load() {
		return decision, ErrClosed
	}
	hash := m.names.key(request.Key)
	sh := &m.shards[shardNumber(hash)]
	sh.mu.Lock()
	err = m.reserve(sh, hash, has, &request, &decision)
	sh.mu.Unlock()
	return decision, err
}

// shardNumber returns the shard of the key with this identity.
func shardNumber(hash uint64) uint32 { return uint32(hash >> 56) }

func (m *Memory) reserve(sh *shard, hash uint64, has traits, request *Request, decision *Decision) error {
	e := evaluation{m: m, sh: sh, name: request.Model, want: request.Tokens, requests: 1}
	e.read()
	key := m.scope(sh, hash, 0, e.day.number, e.ms, 0)
	e.key = sh.at(key - 1)
	model := uint32(0)
	if has.model {
		model = m.scope(sh, m.names.model(hash, request.Model), 1, e.day.number, e.ms, key)
		e.model = sh.at(model - 1)
	}
	e.freshen()
	if has.apart {
		e.prepare(request.Rows)
	}
	switch {
	case !e.fitsOrShrinks(request, decision):
		e.headroom(request.Rows, decision)
	case e.full():
		*decision = Decision{}
		return ErrFull
	default:
		e.charge()
		decision.Admitted, decision.Reserved = true, e.want
		decision.Handle = e.open(hash, key, model, request.Timeout)
	}
	if sh.calls++; sh.calls%tidyEvery == 0 {
		m.tidy(sh, e.day.number, e.ms)
	}
	return nil
}

// open records a reservation that was charged to the scopes in these slots (plus
// one).
func (e *evaluation) open(hash uint64, key, model uint32, timeout time.Duration) Handle {
	slot := e.sh.open.take()
	r := e.sh.open.at(slot)
	e.sh.open.issued++
	r.id, r.stamp, r.day = e.sh.open.issued, e.stamp, e.day.number
	r.key, r.model, r.next = key, model, 0
	r.input, r.output = uint32(e.want.Input), uint32(e.want.Output)
	if r.deadline = 0; timeout > 0 {
		r.deadline = e.ms + int64(timeout/time.Millisecond) + 1
	}
	e.key.inFlight++
	if e.model != nil {
		e.model.inFlight++
	}
	return e.m.issue(r.id, shardNumber(hash), slot)
}

// Extend raises a reservation, for a stream that outgrows what it reserved. The
// request is the one that was admitted, with Tokens as the upper bound of the
// whole call. What is added counts from now on and is held to the token limits; a
// refusal changes nothing. A direction in which the reservation covers more
// already stays as it is. Errors: those of Reserve, ErrForged, ErrResolved.
func (m *Memory) Extend(_ context.Context, handle Handle, request Request) (decision Decision, err error) {
	if _, err := check(&request); err != nil {
		return Decision{}, err
	}
	if m.closed.Load() {
		return Decision{}, ErrClosed
	}
	e := evaluation{m: m, name: request.Model}
	slot, err := e.find(handle)
	if err != nil {
		return Decision{}, err
	}
	err = e.extend(slot, request.Tokens, request.Rows, &decision)
	if decision.Admitted {
		decision.Handle = handle
	}
	e.sh.mu.Unlock()
	return decision, err
}

// Settle replaces the reserved tokens by the actual ones and ends the call in
// flight. Tokens that were not used leave the minute and the day that they were
// reserved in, if those still last; tokens above the reservation are charged to
// the present ones without regard to limits: such debt keeps further calls out
// until it has drained. Errors: ErrForged, ErrResolved, *ValueError; the
// reservation is then as it was.
func (m *Memory) Settle(_ context.Context, handle Handle, actual Tokens) error {
	if err := checkTokens(actual); err != nil {
		return err
	}
	return m.resolve(handle, actual, false)
}

// Cancel takes a reservation back as if the call had not been made, its request
// count included. Errors: ErrForged, ErrResolved.
func (m *Memory) Cancel(_ context.Context, handle Handle) error {
	return m.resolve(handle, Tokens{}, true)
}

func (m *Memory) resolve(handle Handle, actual Tokens, undo bool) error {
	e := evaluation{m: m}
	slot, err := e.find(handle)
	if err != nil {
		return err
	}
	e.settle(slot, actual, undo)
	e.sh.mu.Unlock()
	return nil
}

// Close makes all further admissions fail with ErrClosed. Calls in flight can
// still be settled, and the counters exported. It always returns nil.
func (m *Memory) Close() error {
	m.closed.Store(true)
	return nil
}
