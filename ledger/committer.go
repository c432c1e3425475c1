package ledger

import (
	"context"
	"fmt"
	"time"
)

// commitLoop makes queued entries durable. Whatever was queued while one commit ran
// goes into the next, so that batches grow with the load.
func (l *Ledger) commitLoop() {
	defer l.done.Done()
	for {
		select {
		case <-l.wake:
		case <-l.stop:
			return
		}
		if l.durability == DurabilityInterval {
			// What comes meanwhile waits for the next interval; it has left a wake.
			l.pause()
			if l.commitOne() {
				l.snapshotInBackground()
			}
			continue
		}
		// After each commit, because under load there may be no last one.
		for l.gather(); l.commitOne(); l.gather() {
			l.snapshotInBackground()
		}
	}
}

const (
	// gatherTime is how long a commit waits for company, and how soon after the last
	// one it must be wanted to wait at all. On an idle machine such a short sleep
	// takes a whole millisecond, but not two.
	gatherTime = 700 * time.Microsecond
	// gatherEntries is how many entries are worth a commit.
	gatherEntries = 64
	// gatherCalls is how many calls must be running for a commit to wait for them.
	gatherCalls = 4
)

// gather waits for company before a commit, up to 1 ms. A sync costs the processor as
// much as many entries do; where calls and the ledger share a core, it would take
// the time from the very calls that could end meanwhile and share it, and nearly
// every call would get a sync of its own. A lone caller waits for nobody, and
// neither does anybody else while little goes on.
func (l *Ledger) gather() {
	l.mu.Lock()
	waiting, running := len(l.batch.entries), len(l.core.holds)
	wait := waiting > 0 && waiting < gatherEntries && running >= gatherCalls && l.durability == DurabilitySettle &&
		l.now().Sub(l.lastCommit) < gatherTime
	l.mu.Unlock()
	if wait {
		l.sleep(gatherTime)
	}
}

// pause lets entries gather for an interval, unless a call waits for them.
func (l *Ledger) pause() {
	timer := time.NewTimer(l.interval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.urgent:
	case <-l.stop:
	}
}

// commitOne makes the current batch durable. It returns false if it was empty.
// After an error nothing is ever written again: a sync that failed once cannot be
// trusted to succeed later, because the kernel may have dropped the pages.
func (l *Ledger) commitOne() bool {
	l.mu.Lock()
	b, failed := l.batch, l.failed
	if len(b.entries) == 0 {
		l.mu.Unlock()
		return false
	}
	l.batch, l.committing = newBatch(), b
	l.batch.entries, l.spare = l.spare, nil
	l.mu.Unlock()

	err := failed
	if failed == nil {
		if err = l.store.Append(context.Background(), b.entries); err != nil {
			err = fmt.Errorf("write ledger: %w", err)
			l.fail(err) // before anyone learns of it
		}
	}
	l.mu.Lock()
	l.committing = nil
	if err == nil {
		l.durable, l.waitSince = b.entries[len(b.entries)-1].Sequence, l.now()
		l.lastCommit = l.waitSince
	}
	clear(b.entries) // they hold texts
	l.spare = b.entries[:0]
	l.mu.Unlock()
	b.err = err
	close(b.done)
	return true
}

// janitorLoop gives back what callers forgot and watches the disk.
func (l *Ledger) janitorLoop() {
	defer l.done.Done()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.checkRoom()
			l.expire()
		case <-l.stop:
			return
		}
	}
}

// checkRoom stops admissions while the disk is nearly full, so that the charges of
// running calls still find room.
func (l *Ledger) checkRoom() {
	room, err := l.store.Room()
	switch {
	case err != nil:
		err = fmt.Errorf("disk space is unknown: %w", err)
	case room < l.reserve:
		err = fmt.Errorf("disk is nearly full: %d bytes are free and %d are kept in reserve", room, l.reserve)
	}
	l.mu.Lock()
	l.lowRoom = err
	l.mu.Unlock()
}

// expire resolves holds whose calls should have ended long ago: a stream is charged
// what its last checkpoint says, anything else nothing.
func (l *Ledger) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return
	}
	// Times keep their monotonic part here: a wall clock that is set forward must not
	// end the calls that run.
	now := l.now()
	for id, h := range l.core.holds {
		if h.deadline.IsZero() || now.Sub(h.deadline) <= l.grace {
			continue
		}
		e := l.core.draft(KindVoid, id, &h)
		if last, running := l.core.open[id]; running {
			e.Kind, e.Amount, e.Quantity, e.Usage = KindSettle, last.entry.Amount, last.entry.Quantity, UsageCounted
			e.Balance -= e.Amount
		}
		e.Outcome = OutcomeDeadline
		if err := l.append(&e); err != nil {
			l.failed = err
			return
		}
	}
}
