package sqlitestore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// block is more than one part of a snapshot.
var block = bytes.Repeat([]byte("x"), partSize+1)

// TestSnapshotsDoNotTakeEachOthersParts writes two snapshots at once, as a prune and
// a background snapshot do.
func TestSnapshotsDoNotTakeEachOthersParts(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	second := make(chan error, 1)
	save := func(sequence int64, baseline bool, encode func(io.Writer) error) error {
		return store.SaveSnapshot(t.Context(), ledger.Snapshot{Sequence: sequence, Baseline: baseline, Encode: encode})
	}
	err = save(1, true, func(w io.Writer) error {
		if _, err := w.Write(block); err != nil {
			return err
		}
		go func() {
			second <- save(2, false, func(w io.Writer) error { _, err := w.Write(block); return err })
		}()
		select {
		case err := <-second:
			second <- err
		case <-time.After(100 * time.Millisecond): // it waits for its turn
		}
		_, err := w.Write(block)
		return err
	})
	if err := errors.Join(err, <-second); err != nil {
		t.Fatal(err)
	}
	for sequence, blocks := range map[int64]int64{1: 2, 2: 1} {
		err := store.ReadSnapshot(t.Context(), sequence, func(r io.Reader) error {
			n, err := io.Copy(io.Discard, r)
			if want := blocks * int64(len(block)); err == nil && n != want {
				t.Errorf("snapshot %d has %d bytes, want %d", sequence, n, want)
			}
			return err
		})
		if err != nil {
			t.Errorf("snapshot %d: %v", sequence, err)
		}
	}
}

// TestACanceledTransactionLeavesTheWriterUsable cancels the context between the
// work of a transaction and its commit.
func TestACanceledTransactionLeavesTheWriterUsable(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	ctx, cancel := context.WithCancel(t.Context())
	_ = store.transaction(ctx, func(w *writer) error {
		err := w.exec(ctx, "DELETE FROM snapshot")
		cancel()
		return err
	})
	if err := store.transaction(ctx, func(*writer) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a transaction that starts canceled: %v", err)
	}
	err = store.Append(t.Context(), []ledger.Entry{{Sequence: 1, At: time.Unix(1, 0), Kind: ledger.KindEpoch}})
	if err != nil {
		t.Errorf("append after a canceled transaction: %v", err)
	}
}

func TestAClosedStoreSaysSo(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Entries(t.Context(), 0, 1); err == nil {
		t.Error("entries are read from a closed store")
	}
	if _, err := store.ClosedUsage(t.Context(), ledger.UsageQuery{}); err == nil {
		t.Error("usage is read from a closed store")
	}
	if err := store.Append(t.Context(), nil); err == nil {
		t.Error("entries are written to a closed store")
	}
	if err := store.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
