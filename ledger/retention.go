package ledger

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Export writes durable entries as JSON, one entry per line: those that follow the
// sequence number after and are older than before; the zero time means all. It returns
// the sequence number of the last entry written, or after if there was none. The error
// wraps that of the store or of w.
func Export(ctx context.Context, store Store, w io.Writer, after int64, before time.Time) (int64, error) {
	buffered := bufio.NewWriter(w)
	encoder := json.NewEncoder(buffered)
	err := store.Replay(ctx, after, func(e *Entry) error {
		if !before.IsZero() && !e.At.Before(before) {
			return errEnough
		}
		after = e.Sequence
		return encoder.Encode(e)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return after, fmt.Errorf("export: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return after, fmt.Errorf("export: %w", err)
	}
	return after, nil
}

// errEnough ends a replay early.
var errEnough = errors.New("enough")

// Export writes durable entries as JSON lines, as the function Export does.
func (l *Ledger) Export(ctx context.Context, w io.Writer, after int64, before time.Time) (int64, error) {
	return Export(ctx, l.store, w, after, before)
}

// Head returns the hash that stands for all durable entries.
func (l *Ledger) Head(ctx context.Context) (Head, error) { return l.store.Head(ctx) }

// Rescue writes what the ledger knows to a new file, for instance after ErrReplaced.
// It is complete if all durable entries are in it, which an open store may still have.
// Otherwise the file's log starts from the state in memory: accounts, keys, prices and
// the usage that memory has, without entries.
func (l *Ledger) Rescue(ctx context.Context, file string) (complete bool, err error) {
	report, err := l.store.Rescue(ctx, file)
	l.mu.Lock()
	durable, c := l.durable, l.core.clone()
	l.mu.Unlock()
	if err == nil && report.Head.Sequence < durable {
		return false, corrupt(durable, "is missing in the rescued file")
	}
	if err == nil {
		return true, nil
	}
	_, failed := l.store.Begin(ctx, file, Snapshot{Sequence: c.sequence, Baseline: true, Closed: c.closedUsage(), Encode: c.encode})
	if failed != nil {
		return false, errors.Join(err, failed)
	}
	return false, nil
}

// Prune removes the entries of the UTC days before a moment. They cannot be brought back:
// call Export first to keep them elsewhere. Balances, usage rows and idempotency keys
// stay, because the state after the last removed entry is kept as the log's new start.
// The last day that has entries stays too. Prune returns the sequence number of the last
// entry that is gone. The error wraps ErrUnavailable, ErrCorrupt or the store's error;
// after a failed write the ledger admits nothing more.
func (l *Ledger) Prune(ctx context.Context, before time.Time) (int64, error) {
	// Another prune would remove the entries that this one reads.
	l.pruning.Lock()
	defer l.pruning.Unlock()
	through, err := l.prune(ctx, before)
	if err != nil {
		err = fmt.Errorf("prune: %w", err)
		// It is unknown what is durable.
		if !errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
			l.fail(err)
		}
	}
	return through, err
}

func (l *Ledger) prune(ctx context.Context, before time.Time) (int64, error) {
	var last time.Time
	// Wait until the last entry is durable: a log must not end before its snapshot.
	err := l.write(ctx, func() ([]*Entry, error) {
		last = moment(l.core.at)
		return nil, nil
	})
	if err == nil {
		err = l.checkPlace()
	}
	if err != nil {
		return 0, err
	}
	if before.After(last) {
		before = last
	}
	through, err := l.store.Since(ctx, before.UTC().Truncate(24*time.Hour))
	if err != nil {
		return 0, err
	}
	// The new start is computed from the log, which proves that the removed entries are
	// consistent.
	c, err := baseline(ctx, l.store)
	if err != nil {
		return c.sequence, err
	}
	if through <= c.sequence {
		// Remove what an earlier call that was interrupted left.
		return c.sequence, l.store.Prune(ctx, c.sequence)
	}
	err = l.store.Replay(ctx, c.sequence, func(e *Entry) error {
		if e.Sequence > through {
			return errEnough
		}
		return c.apply(e)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	if c.sequence != through {
		return 0, fmt.Errorf("%w: the log ends at entry %d, not at %d", ErrCorrupt, c.sequence, through)
	}
	if err := c.checkSums(); err != nil {
		return 0, err
	}
	snapshot := Snapshot{Sequence: through, Baseline: true, Closed: c.usageRows(UsageQuery{}), Encode: c.encode}
	if err := l.store.SaveSnapshot(ctx, snapshot); err != nil {
		return 0, err
	}
	return through, l.store.Prune(ctx, through)
}

// baseline returns the state that the log starts from.
func baseline(ctx context.Context, store Store) (*core, error) {
	snapshots, err := store.Snapshots(ctx)
	if err != nil {
		return newCore(), err
	}
	for _, info := range snapshots {
		if info.Baseline {
			return readCore(ctx, store, info)
		}
	}
	return newCore(), nil
}
