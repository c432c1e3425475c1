package sqlitestore

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// wantCorrupt verifies a store and wants an error with this text.
func wantCorrupt(t *testing.T, store *Store, text string) {
	t.Helper()
	if _, err := ledger.Verify(t.Context(), store); !errors.Is(err, ledger.ErrCorrupt) || !strings.Contains(err.Error(), text) {
		t.Errorf("verify: %v, want %q", err, text)
	}
}

// testClock stands still until tomorrow is called.
func testClock() (now func() time.Time, tomorrow func()) {
	var days atomic.Int64
	now = func() time.Time { return time.Date(2026, 11, 1+int(days.Load()), 12, 0, 0, 0, time.UTC) }
	return now, func() { days.Add(1) }
}

func execute(t *testing.T, store *Store, statement string) {
	t.Helper()
	if err := store.writer.exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// reseal makes checksums and chain fit what the log says now, as someone would who
// wants to hide a change.
func reseal(t *testing.T, store *Store) {
	t.Helper()
	execute(t, store, "UPDATE entry SET checksum = NULL")
	execute(t, store, "DELETE FROM chain")
	if err := store.transaction(t.Context(), func(w *writer) error { return chainOldEntries(t.Context(), w) }); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyFindsWriteOffsThatAreMissingOrTooMany(t *testing.T) {
	l, store, key := fill(t, t.TempDir(), 1)
	hold, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: ledger.Quantity{Duration: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	charge, err := l.Settle(t.Context(), hold.ID, ledger.Settlement{Quantity: ledger.Quantity{Duration: 200 * time.Minute}})
	if err != nil || charge.WriteOff == 0 {
		t.Fatalf("settle: %+v, %v", charge, err)
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	execute(t, store, `INSERT INTO entry SELECT seq + 1, at, kind, account, key_id, model, request_id, reference, hold, input_tokens,
		cached_tokens, output_tokens, duration_us, amount, balance, price_version, usage, outcome, detail, NULL FROM entry WHERE seq = 7`)
	reseal(t, store)
	wantCorrupt(t, store, "entry 8: writes off 100001000 micro-credits that no call left unpaid")
	execute(t, store, "DELETE FROM entry WHERE seq > 6")
	reseal(t, store)
	wantCorrupt(t, store, "entry 6: is not followed by the write-off of 100001000 micro-credits")
}

func TestVerifyChecksWhatStreamsReport(t *testing.T) {
	l, store, key := fill(t, t.TempDir(), 1, ledger.WithCrashPolicy(ledger.CrashFull))
	hold, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: ledger.Quantity{Duration: time.Second}, Stream: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Settle(t.Context(), hold.ID, ledger.Settlement{}); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	execute(t, store, `INSERT INTO entry SELECT 8, (SELECT max(at) FROM entry), kind, account, key_id, model, request_id, reference, hold, input_tokens,
		cached_tokens, output_tokens, duration_us, amount, balance, price_version, usage, outcome, detail, NULL FROM entry WHERE seq = 6`)
	reseal(t, store)
	wantCorrupt(t, store, "entry 8: hold "+hold.ID.String()+" was resolved before")
	execute(t, store, "UPDATE entry SET balance = balance - 1 WHERE seq = 6")
	reseal(t, store)
	wantCorrupt(t, store, "entry 6: balance is 99999000, not 99998999")
}

func TestVerifyKnowsWhichModelAPriceIsOf(t *testing.T) {
	l, store, key := fill(t, t.TempDir(), 1)
	for _, model := range []string{"m", "dear"} {
		if err := l.SetPrice(t.Context(), model, ledger.Price{Minute: ledger.Credit}); err != nil {
			t.Fatal(err)
		}
	}
	if err := call(t, l, key.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	execute(t, store, "UPDATE entry SET model = 'dear' WHERE seq = 8")
	reseal(t, store)
	wantCorrupt(t, store, "entry 8: price version 1 is not one of model")
}

func TestVerifyMissesUsageOfADayThatIsOver(t *testing.T) {
	now, tomorrow := testClock()
	directory := t.TempDir()
	l, store, key := fill(t, directory, 3, ledger.WithClock(now), ledger.WithSnapshotEvery(1))
	last := l.Stats().Sequence
	tomorrow()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if err := call(t, l, key.ID); err != nil {
			t.Fatal(err)
		}
		list, err := store.Snapshots(t.Context())
		if len(list) > 0 && list[0].Sequence > last {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("snapshots: %+v, %v", list, err)
		}
	}
	// A snapshot that is still being taken would write what is deleted again.
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, store, err := reopen(t, directory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Verify(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	execute(t, store, "DELETE FROM closed_usage")
	wantCorrupt(t, store, "2026-11-01 is not what the log says")
}

// interrupted is a store whose first prune is interrupted.
type interrupted struct {
	*Store
	cancel context.CancelFunc
}

func (s *interrupted) Prune(ctx context.Context, through int64) error {
	if s.cancel == nil {
		return s.Store.Prune(ctx, through)
	}
	s.cancel()
	s.cancel = nil
	return ctx.Err()
}

// openTwoDays opens a ledger with an account made on each of two days, which are
// over by now.
func openTwoDays(t *testing.T, store ledger.Store) (l *ledger.Ledger, now func() time.Time) {
	t.Helper()
	now, tomorrow := testClock()
	l, err := ledger.Open(t.Context(), store, ledger.WithClock(now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(context.Background()) })
	for _, id := range []string{"a", "b"} {
		if _, err := l.CreateAccount(t.Context(), ledger.NewAccount{ID: id}); err != nil {
			t.Fatal(err)
		}
		tomorrow()
	}
	return l, now
}

func TestAPruneThatWasInterruptedGoesOn(t *testing.T) {
	inner, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := &interrupted{Store: inner}
	l, now := openTwoDays(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	store.cancel = cancel
	if _, err := l.Prune(ctx, now()); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted prune: %v", err)
	}
	through, err := l.Prune(t.Context(), now())
	if err != nil || through != 2 {
		t.Fatalf("prune: %d, %v", through, err)
	}
	if entries, err := l.Entries(t.Context(), 0, 1); err != nil || len(entries) != 1 || entries[0].Sequence != 3 {
		t.Errorf("first entry after the prune: %+v, %v", entries, err)
	}
}

// overtaken is a store that lets another prune begin when the first one reads.
type overtaken struct {
	*Store
	other atomic.Pointer[func()]
}

func (s *overtaken) Replay(ctx context.Context, after int64, use func(*ledger.Entry) error) error {
	if other := s.other.Swap(nil); other != nil {
		(*other)()
	}
	return s.Store.Replay(ctx, after, use)
}

func TestTwoPrunesAtOnceLoseNothing(t *testing.T) {
	inner, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := &overtaken{Store: inner}
	l, now := openTwoDays(t, store)
	second := make(chan error, 1)
	other := func() {
		go func() {
			_, err := l.Prune(context.Background(), now())
			second <- err
		}()
		select {
		case err := <-second:
			second <- err
		case <-time.After(100 * time.Millisecond): // it waits for its turn
		}
	}
	store.other.Store(&other)
	_, err = l.Prune(t.Context(), now())
	if err := errors.Join(err, <-second, l.Ready()); err != nil {
		t.Error(err)
	}
	if report, err := ledger.Verify(t.Context(), inner); err != nil || report.Accounts != 2 {
		t.Errorf("verify: %+v, %v", report, err)
	}
}

func TestVerifyNamesTheFirstEntryThatWasTamperedWith(t *testing.T) {
	for name, statement := range map[string]string{
		"a charge":          "UPDATE entry SET amount = amount + 1 WHERE seq = 7",
		"a balance":         "UPDATE entry SET balance = balance + 1 WHERE seq = 7",
		"a removed entry":   "DELETE FROM entry WHERE seq = 7",
		"a time":            "UPDATE entry SET at = 1 WHERE seq = 7",
		"a kind":            "UPDATE entry SET kind = 'gift' WHERE seq = 7",
		"an account":        "UPDATE entry SET account = 'other' WHERE seq = 7",
		"a doubled call":    "UPDATE entry SET hold = (SELECT hold FROM entry WHERE seq = 6) WHERE seq = 7",
		"a quantity":        "UPDATE entry SET duration_us = duration_us + 60 WHERE seq = 7",
		"an unknown price":  "UPDATE entry SET price_version = 9 WHERE seq = 7",
		"a foreign epoch":   "UPDATE entry SET hold = hold + (1 << 50) WHERE seq = 7",
		"a changed key":     "UPDATE entry SET key_id = 'AAAAAAAAAA' WHERE seq = 7",
		"a charge for free": "UPDATE entry SET kind = 'void' WHERE seq = 7",
		"a negative count":  "UPDATE entry SET input_tokens = -3 WHERE seq = 7",
		"no number":         "UPDATE entry SET amount = 'much' WHERE seq = 7",
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			l, store, _ := fill(t, directory, 10)
			if report, err := ledger.Verify(t.Context(), store); err != nil || report.Calls != 10 || report.Last != 14 {
				t.Fatalf("before: %+v, %v", report, err)
			}
			if err := store.writer.exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			reader, err := OpenReader(t.Context(), directory)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			_, err = ledger.Verify(t.Context(), reader)
			if !errors.Is(err, ledger.ErrCorrupt) || !(strings.Contains(err.Error(), "entry 7:") || strings.Contains(err.Error(), "entry 8:")) {
				t.Errorf("verify: %v", err)
			}
		})
	}
}
