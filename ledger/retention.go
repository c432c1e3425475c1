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

// Export writes the durable entries after a sequence number as JSON, one entry a
// line, up to the last one before a moment; the zero time means all. It returns
// the sequence number of the last entry written, or after if there was none.
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

// Export writes durable entries as JSON lines, see the function Export.
func (l *Ledger) Export(ctx context.Context, w io.Writer, after int64, before time.Time) (int64, error) {
	return Export(ctx, l.store, w, after, before)
}

// Prune removes the entries of the UTC days before a moment for good. No balance,
// no usage row and no idempotency key is lost: the state after the last removed
// entry is kept as the log's new start. The last day that has entries stays. It
// returns the sequence number of the last entry that is gone. Export first what
// is to be kept elsewhere.
func (l *Ledger) Prune(ctx context.Context, before time.Time) (int64, error) {
	// Another one would take away what this one reads.
	l.pruning.Lock()
	defer l.pruning.Unlock()
	through, err := l.prune(ctx, before)
	if err != nil {
		err = fmt.Errorf("prune: %w", err)
		// Something that should be durable may not be.
		if !errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
			l.fail(err)
		}
	}
	return through, err
}

func (l *Ledger) prune(ctx context.Context, before time.Time) (int64, error) {
	var last time.Time
	// Waiting for the last entry keeps it on the disk: a log must not end before its
	// snapshot.
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
	// The new start is made by reading the log once more, which proves at the same
	// time that what goes away adds up.
	c, err := baseline(ctx, l.store)
	if err != nil {
		return c.sequence, err
	}
	if through <= c.sequence {
		// What an earlier call could not finish goes now.
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
