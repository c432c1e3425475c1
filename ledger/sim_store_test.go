package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sort"
	"time"
)

// fault is what goes wrong at one write of a simStore.
type fault uint8

const (
	_ fault = iota // nothing goes wrong
	// faultCrashBefore kills the process before the commit reaches the disk. SQLite
	// finds an incomplete transaction in its log and drops it.
	faultCrashBefore
	// faultCrashAfter kills the process when the commit is on the disk and nobody
	// was told.
	faultCrashAfter
	// faultLost is a sync that fails: the kernel drops the pages and forgets that it
	// did. Later syncs succeed, but what they write stands behind a hole that
	// recovery does not cross.
	faultLost
	// faultKept is a sync that fails although the pages made it.
	faultKept
	// faultFull is a disk without room: nothing was written.
	faultFull
)

var errFault = errors.New("injected fault")

// simDisk is what survives a crash.
type simDisk struct {
	entries   []Entry
	first     int64 // sequence of entries[0]
	snapshots map[int64]simSnapshot
	usage     map[usageID]UsageRow
	hole      bool // a sync failed: nothing later is found again
}

type simSnapshot struct {
	info  SnapshotInfo
	state []byte
}

func newSimDisk() *simDisk {
	return &simDisk{first: 1, snapshots: map[int64]simSnapshot{}, usage: map[usageID]UsageRow{}}
}

// simStore is a Store over a simDisk that behaves as SQLite in WAL mode with full
// sync does, and fails when it is told to.
type simStore struct {
	disk    *simDisk
	random  *rand.Rand
	fault   fault // what happens ...
	faultIn int   // ... after this many more writes; negative: never
	crashed bool
	// beforeWrite runs before a write reaches the disk: whoever was told by then that
	// it is durable was lied to.
	beforeWrite func()
	// appended, if not nil, runs when entries have become durable.
	appended func()
	room     int64
}

// write runs one commit.
func (s *simStore) write(commit func()) error {
	s.beforeWrite()
	if s.crashed {
		return errFault
	}
	s.faultIn--
	if s.faultIn != 0 {
		if !s.disk.hole {
			commit()
		}
		return nil
	}
	switch s.fault {
	case faultCrashBefore:
		s.crashed = true
	case faultCrashAfter:
		commit()
		s.crashed = true
	case faultLost:
		s.disk.hole = true
	case faultKept:
		commit()
	}
	return errFault
}

func (s *simStore) Append(_ context.Context, entries []Entry) error {
	err := s.write(func() { s.disk.entries = append(s.disk.entries, entries...) })
	if err == nil && s.appended != nil {
		s.appended()
	}
	return err
}

func (s *simStore) Replay(_ context.Context, after int64, use func(*Entry) error) error {
	for i := max(after+1-s.disk.first, 0); i < int64(len(s.disk.entries)); i++ {
		e := s.disk.entries[i]
		if err := use(&e); err != nil {
			return err
		}
	}
	return nil
}

func (s *simStore) Entries(_ context.Context, after int64, limit int) ([]Entry, error) {
	from := min(max(after+1-s.disk.first, 0), int64(len(s.disk.entries)))
	rest := s.disk.entries[from:]
	return slices.Clone(rest[:min(len(rest), limit)]), nil
}

func (s *simStore) Since(_ context.Context, moment time.Time) (int64, error) {
	n := sort.Search(len(s.disk.entries), func(i int) bool { return !s.disk.entries[i].At.Before(moment) })
	return s.disk.first + int64(n) - 1, nil
}

func (s *simStore) SaveSnapshot(_ context.Context, snapshot Snapshot) error {
	var state bytes.Buffer
	if err := snapshot.Encode(&state); err != nil {
		return err
	}
	if err := s.write(func() { // the usage rows go first, in a commit of their own
		for _, row := range snapshot.Closed {
			s.disk.usage[row.id()] = row
		}
	}); err != nil {
		return err
	}
	return s.write(func() {
		info := SnapshotInfo{Sequence: snapshot.Sequence, Baseline: snapshot.Baseline, Hash: sha256.Sum256(state.Bytes())}
		s.disk.snapshots[snapshot.Sequence] = simSnapshot{info: info, state: state.Bytes()}
		kept := 0
		for _, old := range s.list() {
			if old.Baseline == snapshot.Baseline {
				if kept++; kept > 2 || (snapshot.Baseline && kept > 1) {
					delete(s.disk.snapshots, old.Sequence)
				}
			}
		}
	})
}

func (s *simStore) list() []SnapshotInfo {
	var list []SnapshotInfo
	for _, snapshot := range s.disk.snapshots {
		list = append(list, snapshot.info)
	}
	slices.SortFunc(list, func(a, b SnapshotInfo) int { return int(b.Sequence - a.Sequence) })
	return list
}

func (s *simStore) Snapshots(context.Context) ([]SnapshotInfo, error) { return s.list(), nil }

func (s *simStore) ReadSnapshot(_ context.Context, sequence int64, use func(io.Reader) error) error {
	snapshot := s.disk.snapshots[sequence]
	if err := use(bytes.NewReader(snapshot.state)); err != nil {
		return err
	}
	if sha256.Sum256(snapshot.state) != snapshot.info.Hash {
		return ErrSnapshotDamaged
	}
	return nil
}

func (s *simStore) ClosedUsage(_ context.Context, query UsageQuery) ([]UsageRow, error) {
	var rows []UsageRow
	for _, row := range s.disk.usage {
		if query.matches(&row) {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func (s *simStore) Prune(_ context.Context, through int64) error {
	return s.write(func() {
		gone := min(max(through+1-s.disk.first, 0), int64(len(s.disk.entries)))
		s.disk.entries = slices.Clone(s.disk.entries[gone:])
		s.disk.first += gone
	})
}

func (s *simStore) Head(context.Context) (Head, error) {
	return Head{Sequence: s.disk.first + int64(len(s.disk.entries)) - 1}, nil
}

func (s *simStore) Rescue(context.Context, string) (Report, error) { return Report{}, errFault }

func (s *simStore) Begin(context.Context, string, Snapshot) (Report, error) {
	return Report{}, errFault
}

func (s *simStore) InPlace() error { return nil }

func (s *simStore) Check(context.Context) error { return nil }

func (s *simStore) Room() (int64, error) { return s.room, nil }
func (s *simStore) Close() error         { return nil }
