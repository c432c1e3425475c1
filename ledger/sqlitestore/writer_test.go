package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestAFullDatabaseStopsTheLedgerAndLosesNothing(t *testing.T) {
	directory := t.TempDir()
	l, store, key := fill(t, directory, 5)
	pages := int64(0)
	if err := store.writer.held.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if err := store.writer.exec(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+2)); err != nil {
		t.Fatal(err)
	}
	charged := 5
	var err error
	for range 1000 {
		if err = call(t, l, key.ID); err != nil {
			break
		}
		charged++
	}
	if !errors.Is(err, ledger.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Fatalf("error after %d calls: %v", charged, err)
	}
	if err := l.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("close: %v", err)
	}
	l, _, _ = reopen(t, directory)
	if account, _ := l.Account("acme"); account.Spent != ledger.Micro(charged)*1000 {
		t.Errorf("%d calls were acknowledged, account %+v", charged, account)
	}
}

// TestPowerLossAtAnyByteOfTheLogKeepsWhatWasSynced cuts SQLite's write-ahead log
// at random places, with and without garbage behind the cut, as a power loss does,
// and opens the result.
func TestPowerLossAtAnyByteOfTheLogKeepsWhatWasSynced(t *testing.T) {
	directory := t.TempDir()
	l, _, key := fill(t, directory, 0)
	file := filepath.Join(directory, FileName)
	type mark struct {
		size     int
		sequence int64
	}
	var marks []mark
	for range 40 {
		if err := call(t, l, key.ID); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		marks = append(marks, mark{int(info.Size()), l.Stats().DurableSequence})
	}
	database, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(file + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	for range 150 {
		cut := marks[0].size + rand.IntN(len(wal)-marks[0].size+1)
		image := append([]byte(nil), wal[:cut]...)
		switch rand.IntN(3) {
		case 0: // blocks that were never written
			image = append(image, make([]byte, rand.IntN(9000))...)
		case 1: // blocks of something else
			for range rand.IntN(9000) {
				image = append(image, byte(rand.Uint32()))
			}
		}
		var synced mark
		for _, m := range marks {
			if m.size <= cut {
				synced = m
			}
		}
		checkImage(t, database, image, synced.sequence, cut)
	}
}

// checkImage opens a ledger as a power loss left it.
func checkImage(t *testing.T, database, wal []byte, synced int64, cut int) {
	t.Helper()
	directory := t.TempDir()
	file := filepath.Join(directory, FileName)
	if err := errors.Join(os.WriteFile(file, database, 0o600), os.WriteFile(file+"-wal", wal, 0o600)); err != nil {
		t.Fatal(err)
	}
	l, store, err := reopen(t, directory)
	if err != nil {
		t.Fatalf("cut at %d: %v", cut, err)
	}
	if durable := l.Stats().Sequence - 1; durable < synced { // the last is the new epoch
		t.Errorf("cut at %d: %d entries were synced, %d are left", cut, synced, durable)
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Errorf("cut at %d: %v", cut, err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Errorf("cut at %d: %v", cut, err)
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

// Commits of ordinary charges, of other entries and of both are written by different
// statements: what is read must always be what was written.
func TestEntriesAreReadAsTheyWereWritten(t *testing.T) {
	store, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var written []ledger.Entry
	for _, size := range []int{1, 2, mostRows, mostRows + 1, 40} {
		for oddity := range 8 {
			var commit []ledger.Entry
			for i := range size {
				e := ordinary(int64(len(written) + i + 1))
				if i == size/2 {
					makeOdd(&e, oddity)
				}
				commit = append(commit, e)
			}
			if err := store.Append(t.Context(), commit); err != nil {
				t.Fatal(err)
			}
			written = append(written, commit...)
		}
	}
	var read []ledger.Entry
	if err := store.Replay(t.Context(), 0, func(e *ledger.Entry) error { read = append(read, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(read) != len(written) {
		t.Fatalf("%d entries were written, %d read", len(written), len(read))
	}
	for i := range written {
		if !reflect.DeepEqual(read[i], written[i]) {
			t.Errorf("written %+v\nread    %+v", written[i], read[i])
		}
	}
}

// ordinary returns an ordinary charge.
func ordinary(sequence int64) ledger.Entry {
	return ledger.Entry{
		Sequence: sequence, At: time.UnixMicro(1_800_000_000_000_000 + sequence).UTC(), Kind: ledger.KindSettle,
		Account: "acme", KeyID: "0123456789", Model: "tiny", RequestID: "r", Hold: ledger.HoldID(1<<40 + sequence),
		Quantity: ledger.Quantity{InputTokens: 3, CachedTokens: 1, OutputTokens: 2, Duration: time.Second}, Amount: 5, Balance: 7, PriceVersion: 1,
	}
}

// makeOdd changes one thing that an ordinary charge does not have.
func makeOdd(e *ledger.Entry, what int) {
	switch what {
	case 1:
		e.Kind = ledger.KindVoid
	case 2:
		e.Usage = ledger.UsageCounted
	case 3:
		e.Outcome = ledger.OutcomeClientGone
	case 4:
		e.Reference = "reference"
	case 5:
		e.Detail = []byte(`{"x":1}`)
	case 6:
		*e = ledger.Entry{Sequence: e.Sequence, At: e.At, Kind: ledger.KindEpoch, Hold: 2 << 40}
	case 7:
		e.Quantity, e.Amount = ledger.Quantity{}, 0
	}
}
