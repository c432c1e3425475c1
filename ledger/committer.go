package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// commitLoop makes queued entries durable. Entries that are queued while one commit runs
// go into the next, so that batches grow with the load.
func (l *Ledger) commitLoop() {
	defer l.done.Done()
	for {
		select {
		case <-l.wake:
		case <-l.stop:
			return
		}
		// After each commit, because under load there may be no last one.
		for l.gather(); l.commitOne(); l.gather() {
			l.snapshotInBackground()
		}
	}
}

// DefaultCommitWait is the longest time for which a charge waits for others that share
// its commit, unless SetCommitWait says otherwise.
const DefaultCommitWait = 10 * time.Millisecond

const (
	// gatherTime is how long a commit waits for more entries under load. It counts as
	// load if the last commit ended less than this time ago. On an idle machine such a
	// short sleep takes a whole millisecond, but not two.
	gatherTime = 700 * time.Microsecond
	// gatherEntries is the number of entries from which a commit does not wait.
	gatherEntries = 64
	// gatherCalls is the number of running calls from which a commit waits because of
	// load alone.
	gatherCalls = 4
	// patienceDivisor lets a call wait for 1 % of the time that it ran.
	patienceDivisor = 100
	// leastPatience is the shortest wait that a timer can keep. Calls that would wait less
	// do not wait.
	leastPatience = 500 * time.Microsecond
)

// SetCommitWait sets the longest time for which a charge may wait for others that share
// its commit, by default 10 ms. A call never waits longer than 1 % of the time that it
// ran. With 0 no call waits for that reason.
func (l *Ledger) SetCommitWait(longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commitWait = longest
	signal(l.urgent)
}

// patience returns how long the charge of a call that ran for a time may wait for others.
// The caller holds the lock.
func (l *Ledger) patience(ran time.Duration) time.Duration {
	if wait := min(ran/patienceDivisor, l.commitWait); wait >= leastPatience {
		return wait
	}
	return 0
}

// expect notes that a caller waits for the batch to be committed by a certain time. The
// caller of expect holds the lock.
func (l *Ledger) expect(due time.Time) {
	if l.batch.due.IsZero() || due.Before(l.batch.due) {
		l.batch.due = due
		signal(l.urgent)
	}
}

// gather waits before a commit, so that more entries share it. A sync costs as much
// processor time as many entries do. Where calls and the ledger share a core, it would
// take that time from the calls that are about to end and could share the sync.
func (l *Ledger) gather() {
	began := l.now()
	for {
		wait := l.companyWait(began)
		if wait <= 0 {
			return
		}
		select {
		case <-l.after(wait):
		case <-l.urgent: // another call may wait less long, or there are entries enough
		case <-l.stop:
			return
		}
	}
}

// companyWait returns how much longer a commit waits that has been wanted since began.
// Each call that waits for it allows a part of its own run time. Under load, where nearly
// every call would get a sync of its own, the commit waits for gatherTime in any case. If
// no other call runs, it does not wait.
func (l *Ledger) companyWait(began time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	select { // an older signal says nothing that is not seen below
	case <-l.urgent:
	default:
	}
	waiting, running := len(l.batch.entries), len(l.core.holds)
	if waiting == 0 || waiting >= gatherEntries || running == 0 {
		return 0
	}
	due := l.batch.due
	if due.IsZero() { // nobody waits for it
		due = began.Add(l.commitWait)
	}
	if underLoad := began.Add(gatherTime); running >= gatherCalls && began.Sub(l.lastCommit) < gatherTime && due.Before(underLoad) {
		due = underLoad
	}
	return due.Sub(l.now())
}

// commitOne makes the current batch durable. It returns false if it was empty.
// After an error nothing is ever written again: a sync that failed once cannot be
// trusted to succeed later, because the kernel may have dropped the pages.
func (l *Ledger) commitOne() bool {
	l.mu.Lock()
	if len(l.batch.entries) == 0 {
		l.mu.Unlock()
		return false
	}
	l.recordCalls(l.recordAfter)
	b, failed := l.batch, l.failed
	l.batch, l.committing = newBatch(), b
	l.batch.entries, l.spare = l.spare, nil
	l.mu.Unlock()

	err := failed
	if failed == nil {
		if err = l.store.Append(context.Background(), b.entries); err != nil {
			err = fmt.Errorf("write ledger: %w", err)
			l.fail(err) // before those who wait for the batch learn of it
		}
	}
	l.mu.Lock()
	l.committing = nil
	if err == nil {
		l.durable, l.waitSince = b.entries[len(b.entries)-1].Sequence, l.now()
		l.lastCommit = l.waitSince
	}
	clear(b.entries) // releases the texts
	l.spare = b.entries[:0]
	l.mu.Unlock()
	b.err = err
	close(b.done)
	return true
}

// janitorLoop gives back holds that were never resolved, checks the disk space, and
// records calls for which no commit comes.
func (l *Ledger) janitorLoop() {
	defer l.done.Done()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var late <-chan time.Time
	for {
		select {
		case <-ticker.C:
			l.checkRoom()
			l.expire()
		case <-l.admitted:
			late = l.after(l.recordAfter)
		case <-late:
			if late = nil; l.recordLate() {
				late = l.after(l.recordAfter)
			}
		case <-l.stop:
			return
		}
	}
}

// checkRoom stops admissions while the disk is nearly full, so that the charges of
// running calls still find room, and for good if the file is not the ledger any more.
func (l *Ledger) checkRoom() {
	if l.checkPlace() != nil {
		return
	}
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

// checkPlace fails the ledger if its file was deleted or replaced: charges would go
// into nothing, and the next start would not know them. What memory knows stays.
func (l *Ledger) checkPlace() error {
	err := l.store.InPlace()
	if errors.Is(err, ErrReplaced) {
		l.fail(err)
		return err
	}
	return nil
}

// grace is how long after its deadline a hold is given back by the ledger itself.
const grace = 30 * time.Second

// expire resolves holds whose calls should have ended long ago: a stream is charged
// what its last checkpoint says, anything else nothing.
func (l *Ledger) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return
	}
	// Times keep their monotonic reading here, so that setting the wall clock forward does
	// not end the calls that run.
	now := l.now()
	for id, h := range l.core.holds {
		if h.deadline.IsZero() || now.Sub(h.deadline) <= grace {
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
