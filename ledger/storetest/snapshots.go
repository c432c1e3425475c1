package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// stateOf returns bytes that no other snapshot has.
func stateOf(sequence int64, size int) []byte {
	state := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(sequence), byte(sequence >> 8)})
	_, _ = random.Read(state) // it never fails
	return state
}

// snapshotOf returns a snapshot with such bytes, which are written in several pieces.
func snapshotOf(sequence int64, size int, baseline bool) ledger.Snapshot {
	return ledger.Snapshot{Sequence: sequence, Baseline: baseline, Encode: func(w io.Writer) error {
		for piece := range slices.Chunk(stateOf(sequence, size), 100_003) {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return nil
	}}
}

// lists says whether the store has the snapshots of these entries, newest first.
func (o *opened) lists(want ...int64) error {
	list, err := o.Snapshots(o.subject.ctx)
	if err != nil {
		return err
	}
	var got []int64
	for _, info := range list {
		got = append(got, info.Sequence)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("snapshots of entries %v, want %v", got, want)
	}
	return nil
}

// reads says whether a snapshot has the bytes that were written.
func (o *opened) reads(sequence int64, size int, baseline bool) error {
	list, err := o.Snapshots(o.subject.ctx)
	if err != nil {
		return err
	}
	want := stateOf(sequence, size)
	info := ledger.SnapshotInfo{Sequence: sequence, Baseline: baseline, Hash: sha256.Sum256(want)}
	if !slices.Contains(list, info) {
		return fmt.Errorf("snapshot %+v is not in the list %+v", info, list)
	}
	var got []byte
	err = o.ReadSnapshot(o.subject.ctx, sequence, func(r io.Reader) (err error) {
		got, err = io.ReadAll(r)
		return err
	})
	if err != nil || !bytes.Equal(got, want) {
		return wrong(err, "snapshot of entry %d: %d bytes that are not the %d written", sequence, len(got), len(want))
	}
	return nil
}

func snapshotReadBack(s *subject) error {
	const large = 3<<20 + 7
	store, err := s.with(log(1, 9))
	if err != nil {
		return err
	}
	if err := store.lists(); err != nil {
		return err
	}
	for sequence, size := range map[int64]int{5: large, 9: 1} {
		if err := store.SaveSnapshot(s.ctx, snapshotOf(sequence, size, false)); err != nil {
			return err
		}
	}
	err = store.twice(func(o *opened) error {
		return errors.Join(o.lists(9, 5), o.reads(5, large, false), o.reads(9, 1, false), o.Check(s.ctx))
	})
	if err != nil {
		return err
	}
	return readsInPart(s.opened[len(s.opened)-1])
}

// readsInPart reads less than all of a snapshot, and one that does not exist.
func readsInPart(o *opened) error {
	err := o.ReadSnapshot(o.subject.ctx, 5, func(r io.Reader) error {
		_, err := io.ReadFull(r, make([]byte, 10))
		return err
	})
	if err != nil {
		return fmt.Errorf("a snapshot of which 10 bytes are used: %w", err)
	}
	if err := o.ReadSnapshot(o.subject.ctx, 5, func(io.Reader) error { return errStop }); !errors.Is(err, errStop) {
		return wrong(err, "a snapshot whose use fails")
	}
	if err := o.ReadSnapshot(o.subject.ctx, 7, func(io.Reader) error { return nil }); err == nil {
		return errors.New("a snapshot that does not exist was read")
	}
	return nil
}

func snapshotWhole(s *subject) error {
	store, err := s.with(log(1, 9))
	if err != nil {
		return err
	}
	if err := store.SaveSnapshot(s.ctx, snapshotOf(3, 1000, false)); err != nil {
		return err
	}
	for _, baseline := range []bool{false, true} {
		err := store.SaveSnapshot(s.ctx, ledger.Snapshot{Sequence: 7, Baseline: baseline, Encode: func(w io.Writer) error {
			_, err := w.Write(stateOf(7, 2<<20))
			return errors.Join(err, errStop)
		}})
		if !errors.Is(err, errStop) {
			return wrong(err, "a snapshot that cannot be encoded")
		}
	}
	err = store.twice(func(o *opened) error {
		return errors.Join(o.lists(3), o.reads(3, 1000, false), o.Check(s.ctx))
	})
	if err != nil {
		return fmt.Errorf("after a snapshot that cannot be encoded: %w", err)
	}
	return nil
}

func snapshotsKept(s *subject) error {
	store, err := s.with(log(1, 60))
	if err != nil {
		return err
	}
	for _, step := range []struct {
		sequence int64
		baseline bool
		want     []int64
	}{
		{20, false, []int64{20}},
		{30, false, []int64{30, 20}},
		{1, true, []int64{30, 20, 1}},
		{40, false, []int64{40, 30, 1}},
		{25, true, []int64{40, 30, 25}},
		{50, false, []int64{50, 40, 25}},
		{60, false, []int64{60, 50, 25}},
	} {
		if err := store.SaveSnapshot(s.ctx, snapshotOf(step.sequence, 5000, step.baseline)); err != nil {
			return err
		}
		if err := store.lists(step.want...); err != nil {
			return fmt.Errorf("after the snapshot of entry %d, baseline %v: %w", step.sequence, step.baseline, err)
		}
	}
	return store.twice(func(o *opened) error {
		return errors.Join(o.lists(60, 50, 25), o.reads(60, 5000, false), o.reads(50, 5000, false), o.reads(25, 5000, true))
	})
}

// usageRows returns rows of three days, two keys and two models, with every field.
func usageRows() []ledger.UsageRow {
	var rows []ledger.UsageRow
	for day := range 3 {
		for _, key := range []string{"key-1", "key-2"} {
			for _, model := range []string{"large", "tiny"} {
				n := int64(len(rows) + 1)
				rows = append(rows, ledger.UsageRow{
					KeyID: key, Owner: "owner of " + key, Model: model, Day: start.Truncate(24*time.Hour).AddDate(0, 0, day),
					Requests: n, InputTokens: 1000 + n, CachedTokens: 100 + n, OutputTokens: 2000 + n,
					Duration: time.Duration(n) * time.Microsecond, Charged: ledger.Micro(3000 + n), WriteOff: ledger.Micro(n % 2),
				})
			}
		}
	}
	return rows
}

func closedUsage(s *subject) error {
	store, err := s.with(log(1, 60))
	if err != nil {
		return err
	}
	rows := usageRows()
	first, second := snapshotOf(20, 10, false), snapshotOf(40, 10, false)
	first.Closed = slices.Clone(rows[:8])
	first.Closed[7].Requests = 99 // the row of the second is the right one
	second.Closed = rows[7:]
	third, fourth := snapshotOf(50, 10, false), snapshotOf(60, 10, false) // rows stay when their snapshot goes
	for _, snapshot := range []ledger.Snapshot{first, second, third, fourth} {
		if err := store.SaveSnapshot(s.ctx, snapshot); err != nil {
			return err
		}
	}
	day := rows[4].Day
	queries := []ledger.UsageQuery{
		{},
		{KeyID: "key-1"},
		{KeyID: "none"},
		{Owner: "owner of key-2"},
		{Model: "tiny"},
		{Model: "tiny", KeyID: "key-2"},
		{From: day},
		{To: day},
		{From: day, To: day},
		{From: day.Add(5 * time.Hour), To: day.Add(6 * time.Hour)},
		{From: day.AddDate(0, 0, 1), To: day},
		{From: day.AddDate(1, 0, 0)},
	}
	return store.twice(func(o *opened) error {
		for _, query := range queries {
			if err := o.uses(query, rows); err != nil {
				return fmt.Errorf("usage that matches %+v: %w", query, err)
			}
		}
		return nil
	})
}

// uses says whether a query finds what it should of all rows, in any order.
func (o *opened) uses(query ledger.UsageQuery, all []ledger.UsageRow) error {
	matches := func(row ledger.UsageRow) bool {
		return (query.KeyID == "" || query.KeyID == row.KeyID) && (query.Owner == "" || query.Owner == row.Owner) &&
			(query.Model == "" || query.Model == row.Model) &&
			(query.From.IsZero() || !row.Day.Before(query.From.Truncate(24*time.Hour))) &&
			(query.To.IsZero() || !row.Day.After(query.To))
	}
	var want []ledger.UsageRow
	for _, row := range all {
		if matches(row) {
			want = append(want, row)
		}
	}
	got, err := o.ClosedUsage(o.subject.ctx, query)
	if err != nil {
		return err
	}
	for i := range got {
		got[i].Day = got[i].Day.UTC()
	}
	slices.SortFunc(got, func(a, b ledger.UsageRow) int {
		return strings.Compare(fmt.Sprint(a.Day.Unix(), a.KeyID, a.Model), fmt.Sprint(b.Day.Unix(), b.KeyID, b.Model))
	})
	if !slices.Equal(got, want) {
		return fmt.Errorf("%+v, want %+v", got, want)
	}
	return nil
}

// copyOf returns an Encode that writes the bytes of a snapshot.
func copyOf(ctx context.Context, store ledger.Store, sequence int64) func(io.Writer) error {
	return func(w io.Writer) error {
		return store.ReadSnapshot(ctx, sequence, func(r io.Reader) error {
			_, err := io.Copy(w, r)
			return err
		})
	}
}
