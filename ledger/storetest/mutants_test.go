package storetest

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// sound is a store that makes no mistake. Each type below makes one.
type sound = *sqlitestore.Store

type dropsLast struct{ sound }

func (m dropsLast) Append(ctx context.Context, entries []ledger.Entry) error {
	if len(entries) > 1 {
		entries = entries[:len(entries)-1]
	}
	return m.sound.Append(ctx, entries)
}

type keepsHalf struct{ sound }

func (m keepsHalf) Append(ctx context.Context, entries []ledger.Entry) error {
	err := m.sound.Append(ctx, entries)
	if err != nil {
		_ = m.sound.Append(ctx, entries[:1])
	}
	return err
}

type forgetsDetail struct{ sound }

func (m forgetsDetail) Append(ctx context.Context, entries []ledger.Entry) error {
	entries = slices.Clone(entries)
	for i := range entries {
		if entries[i].Kind == ledger.KindAdmission {
			entries[i].Detail = nil
		}
	}
	return m.sound.Append(ctx, entries)
}

type splitsCommits struct{ sound }

func (m splitsCommits) Append(ctx context.Context, entries []ledger.Entry) error {
	for i := range entries {
		if err := m.sound.Append(ctx, entries[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

type appendsLater struct{ sound }

func (m appendsLater) Append(ctx context.Context, entries []ledger.Entry) error {
	entries = slices.Clone(entries)
	go func() {
		time.Sleep(5 * time.Millisecond)
		_ = m.sound.Append(ctx, entries)
	}()
	return nil
}

type writesClosed struct {
	sound
	closed *bool
}

func (m writesClosed) Append(ctx context.Context, entries []ledger.Entry) error {
	if *m.closed {
		return nil
	}
	return m.sound.Append(ctx, entries)
}

func (m writesClosed) Close() error { *m.closed = true; return m.sound.Close() }

type ignoresLimit struct{ sound }

func (m ignoresLimit) Entries(ctx context.Context, after int64, limit int) ([]ledger.Entry, error) {
	return m.sound.Entries(ctx, after, limit+1)
}

type includesAfter struct{ sound }

func (m includesAfter) Entries(ctx context.Context, after int64, limit int) ([]ledger.Entry, error) {
	return m.sound.Entries(ctx, max(after-1, 0), limit)
}

type newestFirst struct{ sound }

func (m newestFirst) Entries(ctx context.Context, after int64, limit int) ([]ledger.Entry, error) {
	entries, err := m.sound.Entries(ctx, after, limit)
	slices.Reverse(entries)
	return entries, err
}

type replaysAll struct{ sound }

func (m replaysAll) Replay(ctx context.Context, _ int64, use func(*ledger.Entry) error) error {
	return m.sound.Replay(ctx, 0, use)
}

type replaysOn struct{ sound }

func (m replaysOn) Replay(ctx context.Context, after int64, use func(*ledger.Entry) error) error {
	var first error
	err := m.sound.Replay(ctx, after, func(e *ledger.Entry) error {
		if err := use(e); first == nil {
			first = err
		}
		return nil
	})
	if err == nil {
		err = first
	}
	return err
}

type findsOther struct{ sound }

func (m findsOther) FindEntries(ctx context.Context, query ledger.EntryQuery) ([]ledger.Entry, error) {
	query.KeyID = ""
	return m.sound.FindEntries(ctx, query)
}

type sinceIncludes struct{ sound }

func (m sinceIncludes) Since(ctx context.Context, moment time.Time) (int64, error) {
	return m.sound.Since(ctx, moment.Add(time.Microsecond))
}

type forgetsSnapshots struct {
	sound
	reopened bool
}

func (m forgetsSnapshots) Snapshots(ctx context.Context) ([]ledger.SnapshotInfo, error) {
	if m.reopened {
		return nil, nil
	}
	return m.sound.Snapshots(ctx)
}

type oldestFirst struct{ sound }

func (m oldestFirst) Snapshots(ctx context.Context) ([]ledger.SnapshotInfo, error) {
	list, err := m.sound.Snapshots(ctx)
	slices.Reverse(list)
	return list, err
}

type savesBroken struct{ sound }

func (m savesBroken) SaveSnapshot(ctx context.Context, snapshot ledger.Snapshot) error {
	var failed error
	encode := snapshot.Encode
	snapshot.Encode = func(w io.Writer) error { failed = encode(w); return nil }
	if err := m.sound.SaveSnapshot(ctx, snapshot); err != nil {
		return err
	}
	return failed
}

type forgetsBaselines struct{ sound }

func (m forgetsBaselines) SaveSnapshot(ctx context.Context, snapshot ledger.Snapshot) error {
	snapshot.Baseline = false
	return m.sound.SaveSnapshot(ctx, snapshot)
}

type forgetsUsage struct{ sound }

func (m forgetsUsage) SaveSnapshot(ctx context.Context, snapshot ledger.Snapshot) error {
	if len(snapshot.Closed) > 0 {
		snapshot.Closed = snapshot.Closed[1:]
	}
	return m.sound.SaveSnapshot(ctx, snapshot)
}

type cutsSnapshots struct{ sound }

func (m cutsSnapshots) ReadSnapshot(ctx context.Context, sequence int64, use func(io.Reader) error) error {
	return m.sound.ReadSnapshot(ctx, sequence, func(r io.Reader) error { return use(io.LimitReader(r, 1<<20)) })
}

type usageOfAll struct{ sound }

func (m usageOfAll) ClosedUsage(ctx context.Context, query ledger.UsageQuery) ([]ledger.UsageRow, error) {
	query.To = time.Time{}
	return m.sound.ClosedUsage(ctx, query)
}

type prunesMore struct{ sound }

func (m prunesMore) Prune(ctx context.Context, through int64) error {
	return m.sound.Prune(ctx, through+1)
}

type prunesLess struct{ sound }

func (m prunesLess) Prune(ctx context.Context, through int64) error {
	return m.sound.Prune(ctx, through-1)
}

type constantHead struct{ sound }

func (m constantHead) Head(ctx context.Context) (ledger.Head, error) {
	head, err := m.sound.Head(ctx)
	if head.Sequence > 0 {
		head.Hash = [32]byte{1}
	}
	return head, err
}

type headSkips struct{ sound }

func (m headSkips) Append(ctx context.Context, entries []ledger.Entry) error {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].PriceVersion = 0
	}
	return m.sound.Append(ctx, entries)
}

type alwaysInPlace struct{ sound }

func (alwaysInPlace) InPlace() error { return nil }

type noRoom struct{ sound }

func (noRoom) Room() (int64, error) { return 0, nil }

type rescuesNothing struct{ sound }

func (rescuesNothing) Rescue(context.Context, string) (ledger.Report, error) {
	return ledger.Report{}, nil
}
