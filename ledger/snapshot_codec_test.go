package ledger

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"
)

// FuzzDecodeSnapshot feeds damaged snapshots: they must be refused, or be a state
// that adds up, which is written as the same bytes from then on.
func FuzzDecodeSnapshot(f *testing.F) {
	for seed := range uint64(20) {
		w := newWorld(seed)
		if err := w.run(6); err != nil {
			f.Fatal(err)
		}
		for _, snapshot := range w.disk.snapshots {
			f.Add(snapshot.state)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCore(bytes.NewReader(data))
		if err != nil {
			return
		}
		// What was read may have numbers in longer forms, or days that are over by its
		// own clock. What is written has neither.
		var first, second bytes.Buffer
		if err := c.encode(&first); err != nil {
			t.Fatal(err)
		}
		again, err := decodeCore(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("a state that was read cannot be written: %v", err)
		}
		if err := again.encode(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("the same state is written as other bytes: %v", err)
		}
	})
}

// TestSnapshotsOfOlderFormatsLoseNothing turns the snapshots of random worlds into what
// an older program left: nothing may be lost that the log tells, and what is written from
// then on agrees with the log.
func TestSnapshotsOfOlderFormatsLoseNothing(t *testing.T) {
	for _, format := range []string{stateFormat1, stateFormat2} {
		ordinary, baselines := 0, 0
		for seed := uint64(2000); seed < 2060; seed++ {
			w := newWorld(seed)
			if err := w.run(8); err != nil {
				t.Fatal(err)
			}
			pruned := w.downgrade(t, format)
			ordinary += len(w.disk.snapshots)
			if pruned {
				baselines++
			}
			w.disk.hole = false // as for any process that starts
			for range 2 {       // the second time from a snapshot of today's format
				w.restart(t, seed, pruned)
			}
		}
		if ordinary == 0 || baselines == 0 {
			t.Errorf("%d snapshots, %d worlds with a baseline: nothing was tried", ordinary, baselines)
		}
	}
}

// downgrade writes all snapshots in an older format. It reports whether there is a
// baseline.
func (w *world) downgrade(t *testing.T, format string) (pruned bool) {
	t.Helper()
	for sequence, snapshot := range w.disk.snapshots {
		c, err := decodeCore(bytes.NewReader(snapshot.state))
		if err != nil {
			t.Fatal(err)
		}
		var state bytes.Buffer
		if err := c.encodeAs(&state, format); err != nil {
			t.Fatal(err)
		}
		snapshot.state, snapshot.info.Hash = state.Bytes(), sha256.Sum256(state.Bytes())
		w.disk.snapshots[sequence] = snapshot
		if !snapshot.info.Baseline {
			continue
		}
		pruned = true
		for id, row := range w.disk.usage { // nothing tells what was written off then
			if day(row.Day.UnixMicro()) <= day(c.at) {
				row.WriteOff = 0
				w.disk.usage[id] = row
			}
		}
	}
	return pruned
}

// restart opens the ledger once more, compares it with what the log says, and takes a
// snapshot.
func (w *world) restart(t *testing.T, seed uint64, pruned bool) {
	t.Helper()
	store := &simStore{disk: w.disk, beforeWrite: func() {}, room: 1 << 40}
	if _, err := Verify(t.Context(), store); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	l, err := Open(t.Context(), store, func(c *config) { c.manual = true }, WithClock(func() time.Time { return w.clock }), WithCrashPolicy(w.policy))
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if err := w.learn(); err != nil { // what Open added
		t.Fatalf("seed %d: %v", seed, err)
	}
	for id, want := range w.known.keys {
		got, _ := l.Key(id)
		if got.Spent != want.spent || got.Calls > 0 == got.LastUsedAt.IsZero() || got.LastUsedAt.After(want.lastUsed) ||
			!pruned && !got.LastUsedAt.Equal(want.lastUsed) || want.lastUsed.Sub(got.LastUsedAt) >= 24*time.Hour {
			t.Fatalf("seed %d: key %s was used %s, want %s", seed, id, got.LastUsedAt, want.lastUsed)
		}
	}
	rows, err := l.Usage(t.Context(), UsageQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		want := w.known.usage[row.id()]
		if pruned {
			want.WriteOff = min(want.WriteOff, row.WriteOff)
		}
		if row != want {
			t.Fatalf("seed %d: usage %+v, want %+v", seed, row, want)
		}
	}
	if err := l.snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestReadingTheLogAndReadingASnapshotGiveTheSameState runs random worlds and
// compares the state after every entry with the one that went through a snapshot.
func TestReadingTheLogAndReadingASnapshotGiveTheSameState(t *testing.T) {
	for seed := uint64(1000); seed < 1040; seed++ {
		w := newWorld(seed)
		if err := w.run(8); err != nil {
			t.Fatal(err)
		}
		if w.disk.first != 1 {
			continue // pruned
		}
		straight := newCore()
		for i := range w.disk.entries {
			if err := straight.apply(&w.disk.entries[i]); err != nil {
				t.Fatal(err)
			}
			if err := straight.checkSums(); err != nil {
				t.Fatal(err)
			}
			if i%7 != 0 {
				continue
			}
			var state bytes.Buffer
			if err := straight.clone().encode(&state); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(state.Bytes())
			read, err := decodeCore(&state)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []*core{straight, read} {
				if got, err := c.hash(stateFormat3); err != nil || got != sum {
					t.Fatalf("seed %d: state after entry %d differs: %v", seed, i+1, err)
				}
			}
			for j := i + 1; j < len(w.disk.entries); j++ {
				if err := read.apply(&w.disk.entries[j]); err != nil {
					t.Fatal(err)
				}
			}
			if err := read.checkSums(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
