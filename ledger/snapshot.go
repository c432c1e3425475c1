package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// minSnapshotAtClose is the number of entries from which Close takes a snapshot.
const minSnapshotAtClose = 1000

// load restores the state at the end of the log, from the newest intact snapshot or from
// the start of the log.
func (l *Ledger) load(ctx context.Context) error {
	snapshots, err := l.store.Snapshots(ctx)
	if err != nil {
		return err
	}
	var damaged []error
	outdated := int64(0) // sequence of the newest snapshot in an older format
	baseline := false
	for _, info := range snapshots {
		c, err := readCore(ctx, l.store, info)
		if err == nil && c.format == stateFormat1 && !info.Baseline {
			// The log tells more than it does: read that once more, and keep a newer one.
			outdated = max(outdated, info.Sequence)
			continue
		}
		if err != nil {
			damaged = append(damaged, fmt.Errorf("snapshot of entry %d: %w", info.Sequence, err))
			continue
		}
		l.core, l.snapshotAt, baseline = c, info.Sequence, info.Baseline
		break
	}
	if err := l.replay(ctx, baseline); err != nil {
		return errors.Join(append(damaged, err)...)
	}
	if l.core.sequence < outdated {
		return fmt.Errorf("%w: the log ends before entry %d, which a snapshot has", ErrCorrupt, outdated)
	}
	l.durable = l.core.sequence
	return l.core.checkSums()
}

// replay applies the entries that follow the state.
func (l *Ledger) replay(ctx context.Context, baseline bool) error {
	// The last entry of the snapshot must be in the log, unless it was pruned: a log that
	// is shorter than its snapshot has lost entries. After
	// a baseline, the store knows what must follow.
	last, err := l.store.Entries(ctx, max(l.core.sequence-1, 0), 1)
	if err != nil {
		return err
	}
	if len(last) == 0 && l.core.sequence > 0 && !baseline {
		return fmt.Errorf("%w: the log ends before entry %d, which a snapshot has", ErrCorrupt, l.core.sequence)
	}
	return l.store.Replay(ctx, l.core.sequence, l.core.apply)
}

// readCore reads one snapshot.
func readCore(ctx context.Context, store Store, info SnapshotInfo) (c *core, err error) {
	err = store.ReadSnapshot(ctx, info.Sequence, func(r io.Reader) error {
		c, err = decodeCore(r)
		return err
	})
	if err == nil && c.sequence != info.Sequence {
		err = fmt.Errorf("%w: it is of entry %d", ErrSnapshotDamaged, c.sequence)
	}
	if err == nil && c.format == stateFormat1 {
		err = c.dateKeys(ctx, store)
	}
	if err == nil && c.format != stateFormat3 && !info.Baseline {
		err = c.findWriteOffs(ctx, store)
	}
	return c, err
}

// findWriteOffs gives the usage of the last day what was written off, which a snapshot
// of an older format does not say. Before a baseline there is no log that tells it.
func (c *core) findWriteOffs(ctx context.Context, store Store) error {
	after, err := store.Since(ctx, time.Unix(int64(c.closedBefore())*86400, 0))
	if err != nil {
		return err
	}
	err = store.Replay(ctx, after, func(e *Entry) error {
		if e.Sequence > c.sequence {
			return errEnough
		}
		if e.Kind != KindWriteOff {
			return nil
		}
		key, _, err := c.parties(e)
		if err != nil {
			return err
		}
		return c.addWriteOff(e, key)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// dateKeys gives the keys of a snapshot that does not say when they were used the
// start of the last day on which they were.
func (c *core) dateKeys(ctx context.Context, store Store) error {
	rows := c.usageRows(UsageQuery{})
	if c.at > 0 {
		closed, err := store.ClosedUsage(ctx, UsageQuery{To: moment(c.at).Add(-24 * time.Hour)})
		if err != nil {
			return err
		}
		rows = append(rows, closed...)
	}
	for i := range rows {
		raw, _ := parseKeyID(rows[i].KeyID)
		if index, ok := c.keys.byID[raw]; ok {
			key := &c.keys.rows[index]
			key.lastUsed = max(key.lastUsed, rows[i].Day.UnixMicro())
		}
	}
	return nil
}

// snapshotDue reports whether at least this many entries came since the newest
// snapshot. With many keys a snapshot is dear, so it waits longer.
func (l *Ledger) snapshotDue(entries int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed == nil && l.core.sequence-l.snapshotAt >= max(entries, int64(len(l.core.keys.rows))/4)
}

// snapshotInBackground takes a snapshot if one is due and none is being taken.
func (l *Ledger) snapshotInBackground() {
	if !l.snapshotDue(l.snapshotEvery) {
		return
	}
	l.mu.Lock()
	busy := l.snapshotting
	l.snapshotting = true
	l.mu.Unlock()
	if busy {
		return
	}
	l.done.Go(func() {
		_ = l.snapshot(context.Background()) // a failure is kept in l.failed
		l.mu.Lock()
		l.snapshotting = false
		l.mu.Unlock()
	})
}

// snapshot writes the present state. It holds the lock only while it copies memory.
func (l *Ledger) snapshot(ctx context.Context) error {
	l.mu.Lock()
	if err := l.failed; err != nil {
		l.mu.Unlock()
		return unavailable(err) // the log may lack entries that the state has
	}
	c := l.core.clone()
	b := l.undurable()
	l.mu.Unlock()
	// A snapshot must never be ahead of the log.
	if b != nil && !l.committed(b) {
		return nil
	}
	if err := l.checkPlace(); err != nil {
		return err
	}
	err := l.store.SaveSnapshot(ctx, Snapshot{Sequence: c.sequence, Closed: c.closedUsage(), Encode: c.encode})
	if ctx.Err() != nil {
		return nil // the next one will do
	}
	if err != nil {
		err = fmt.Errorf("write snapshot: %w", err)
		l.fail(err)
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.snapshotAt = c.sequence
	l.core.usage.dropBefore(c.closedBefore(), l.core.keys.rows)
	return nil
}

// committed waits for a batch. It returns false if the batch failed or the ledger closes:
// then the loop that would commit it may have ended, and Close takes a snapshot itself.
func (l *Ledger) committed(b *batch) bool {
	if l.manual {
		for l.commitOne() {
		}
	}
	select {
	case <-b.done:
		return b.err == nil
	case <-l.stop:
		return false
	}
}

// fail keeps the first write error, after which nothing is admitted or written.
func (l *Ledger) fail(err error) {
	l.mu.Lock()
	first := l.failed == nil
	if first {
		l.failed = err
	}
	l.mu.Unlock()
	if first {
		l.events(Event{Kind: EventFailed, Err: err})
	}
}
