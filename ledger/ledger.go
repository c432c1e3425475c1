package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Ledger is an open ledger. All methods are safe for concurrent use.
type Ledger struct {
	config
	store Store

	pruning sync.Mutex // one prune at a time; taken before mu
	naming  sync.Mutex // one request for a unique name at a time; taken before mu

	mu         sync.Mutex
	core       *core
	batch      *batch    // entries that wait for the next commit
	committing *batch    // entries that are being made durable, nil if none are
	waitSince  time.Time // when the oldest entry that is not durable was made
	lastCommit time.Time // when the last commit ended
	durable    int64     // sequence of the last durable entry
	failed     error     // the first write error; it stays
	closing    bool      // no call is admitted any more
	closed     bool      // nothing is written any more
	handing    bool      // another process waits for the store: no time for a snapshot
	lowRoom    error     // disk space is low or unknown; nil if there is enough

	recordedThrough uint64 // counter of the last hold that was recorded or had ended
	recording       bool   // the janitor will look for calls to record

	spare        []Entry // memory for the next batch
	snapshotAt   int64   // sequence of the newest snapshot
	snapshotting bool

	wake     chan struct{}
	urgent   chan struct{}
	admitted chan struct{}
	stop     chan struct{}
	done     sync.WaitGroup
}

// batch is the entries of one commit. err is valid once done is closed.
type batch struct {
	entries []Entry
	due     time.Time // when someone who waits wants it committed, zero if nobody waits
	done    chan struct{}
	err     error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// Open reads the log of a store and starts a new epoch. It resolves calls that ran when
// the last process died by the crash policy. The ledger owns the store from now on and
// closes it, also if Open fails. Errors wrap ErrInvalid (an option), ErrCorrupt (the log
// is inconsistent), ErrUnavailable or the store's error.
func Open(ctx context.Context, store Store, options ...Option) (*Ledger, error) {
	c, err := newConfig(options)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	l := &Ledger{
		config: c, store: store, core: newCore(), batch: newBatch(),
		wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), admitted: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if err := l.recover(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger: %w", err), store.Close())
	}
	if !c.manual {
		l.done.Add(2)
		go l.commitLoop()
		go l.janitorLoop()
	}
	return l, nil
}

// recover restores the state at the end of the log and starts a new epoch.
func (l *Ledger) recover(ctx context.Context) error {
	if err := l.load(ctx); err != nil {
		return err
	}
	if l.core.epoch >= maxEpoch {
		return fmt.Errorf("epoch %d is the last one", l.core.epoch)
	}
	epoch := Entry{Kind: KindEpoch, Hold: makeHoldID(l.core.epoch+1, 0)}
	if err := l.append(&epoch); err != nil {
		return err
	}
	l.core.takeOver(l.running, l.now())
	if err := l.resolveInterrupted(); err != nil {
		return err
	}
	l.checkRoom()
	for l.commitOne() {
	}
	return l.failed
}

// resolveInterrupted ends the calls that ran when the last process died.
func (l *Ledger) resolveInterrupted() error {
	open := slices.Collect(maps.Keys(l.core.open))
	open = slices.AppendSeq(open, maps.Keys(l.core.admitted))
	slices.Sort(open)
	for _, id := range open {
		if _, running := l.core.holds[id]; running {
			continue // in the process that has handed the ledger over
		}
		e := l.core.interrupted(id, l.crash)
		if err := l.append(&e); err != nil {
			return err
		}
	}
	return nil
}

// append gives an entry its sequence number and time, applies it and queues it for the
// next commit. The caller holds the lock and has checked the entry.
func (l *Ledger) append(e *Entry) error {
	e.Sequence = l.core.sequence + 1
	now := l.now()
	e.At = time.UnixMicro(max(now.UnixMicro(), l.core.at)).UTC()
	if err := l.core.apply(e); err != nil {
		return err
	}
	if len(l.batch.entries) == 0 && l.durable == e.Sequence-1 {
		l.waitSince = now
	}
	l.batch.entries = append(l.batch.entries, *e)
	signal(l.wake)
	switch waiting := len(l.batch.entries); {
	case waiting == gatherEntries, len(l.core.holds) == 0: // company enough, or nobody left to wait for
		signal(l.urgent)
	}
	return nil
}

// signal wakes a goroutine that waits. Several signals before it wakes count as one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// admitting returns nil if calls are admitted now, and otherwise why they are not.
func (l *Ledger) admitting(now time.Time) error {
	switch {
	case l.failed != nil:
		return unavailable(l.failed)
	case l.closing:
		return unavailable(errClosing)
	case l.lowRoom != nil:
		return unavailable(l.lowRoom)
	case len(l.batch.entries) >= l.maxPending:
		return unavailable(fmt.Errorf("%d entries wait for the disk", len(l.batch.entries)))
	case l.durable < l.core.sequence && now.Sub(l.waitSince) > l.maxLag:
		return unavailable(fmt.Errorf("the disk has not answered for %s", now.Sub(l.waitSince).Round(time.Millisecond)))
	}
	return nil
}

// errClosing is why a ledger that is about to close admits nothing.
var errClosing = errors.New("it is closing")

// writable returns nil if entries can be written, and otherwise why they cannot.
func (l *Ledger) writable() error {
	if l.failed != nil {
		return unavailable(l.failed)
	}
	if l.closed {
		return unavailable(errors.New("it is closed"))
	}
	return nil
}

// write appends the entries that prepare returns and waits until they are durable.
// prepare is called with the lock held; if it returns an error, so does write.
func (l *Ledger) write(ctx context.Context, prepare func() ([]*Entry, error)) error {
	b, err := l.enqueue(prepare)
	if err != nil || b == nil {
		return err
	}
	return l.wait(ctx, b)
}

// enqueue is write without the wait. It returns the batch to wait for, or nil if
// everything is durable.
func (l *Ledger) enqueue(prepare func() ([]*Entry, error)) (*batch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return nil, err
	}
	entries, err := prepare()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := l.append(e); err != nil {
			return nil, err
		}
	}
	// A request that changed nothing waits too: what it read may not be durable yet.
	b := l.undurable()
	if b == l.batch {
		l.expect(l.now())
	}
	return b, nil
}

// undurable returns the newest batch that is not durable, or nil if there is none. The
// caller holds the lock.
func (l *Ledger) undurable() *batch {
	if len(l.batch.entries) > 0 {
		return l.batch
	}
	return l.committing
}

// wait waits until a batch is durable.
func (l *Ledger) wait(ctx context.Context, b *batch) error {
	if l.manual {
		for l.commitOne() {
		}
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return fmt.Errorf("wait for the disk: %w", ctx.Err())
	}
	if b.err != nil {
		return unavailable(b.err)
	}
	return nil
}

// Ready returns nil if calls are admitted, and otherwise an error that wraps
// ErrUnavailable and says why they are not.
func (l *Ledger) Ready() error {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.admitting(now)
}

// Close makes everything durable and closes the store. Calls that still run are resolved
// by the crash policy at the next start. Close returns the first write error since the
// ledger was opened, so that a process can exit with a failure. If ctx ends first, Close
// returns its error and finishes in the background. A second call does nothing.
func (l *Ledger) Close(ctx context.Context) error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return nil
	}
	l.closing = true
	l.mu.Unlock()
	close(l.stop)
	finished := make(chan error, 1)
	go func() { finished <- l.finish(ctx) }()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
		return fmt.Errorf("close ledger: %w", ctx.Err())
	}
}

// finish is the part of Close that may take a while.
func (l *Ledger) finish(ctx context.Context) error {
	l.done.Wait()
	failed := l.drain()
	if failed == nil && !l.handing && l.snapshotDue(minSnapshotAtClose) {
		failed = l.snapshot(ctx)
	}
	return errors.Join(failed, l.store.Close())
}

// drain makes everything durable and then accepts no more entries. It returns the first
// write error since the ledger was opened.
func (l *Ledger) drain() error {
	l.mu.Lock()
	l.recordCalls(0)
	l.mu.Unlock()
	for {
		l.commitOne()
		l.mu.Lock()
		if len(l.batch.entries) == 0 {
			l.closed = true
			failed := l.failed
			l.mu.Unlock()
			return failed
		}
		l.mu.Unlock()
	}
}

// Running is a call that runs while one process hands the ledger over to another. The
// process in which it runs settles it by asking the other one.
type Running struct {
	Hold         HoldID    `json:"hold"`
	KeyID        string    `json:"key_id"`
	Model        string    `json:"model"`
	RequestID    string    `json:"request_id"`
	PriceVersion int64     `json:"price_version"` // 0: the default price
	Amount       Micro     `json:"amount_micro"`  // what it holds
	Deadline     time.Time `json:"deadline"`      // zero: none
	Stream       bool      `json:"stream"`
}

// HandOver makes everything durable, closes the store, and returns the calls that still
// run. Whoever opens the store with WithRunning has them settled under their holds; to
// anyone else they are calls that a crash ended. From the moment at which the list is made
// this ledger resolves no hold: Settle, Void, Extend and Checkpoint return ErrUnavailable,
// and what they did before is durable. Reading goes on working, from memory. An error is
// that of Close, and the list is empty then.
func (l *Ledger) HandOver(ctx context.Context) ([]Running, error) {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return nil, unavailable(errClosing)
	}
	l.handing = true
	l.mu.Unlock()
	if err := l.Close(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.handOver(), nil
}
