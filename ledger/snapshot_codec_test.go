package ledger

import (
	"bytes"
	"crypto/sha256"
	"testing"
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
				if got, err := c.hash(); err != nil || got != sum {
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
