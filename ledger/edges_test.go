package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limits"
)

func TestAKeyThatEndsAtTheEpochHasEnded(t *testing.T) {
	l := open(t, t.TempDir())
	key, text := member(t, l, ledger.NewKey{}, 0)
	epoch := time.Unix(0, 0)
	if _, err := l.UpdateKey(t.Context(), key.ID, 0, ledger.KeyPatch{ExpiresAt: &epoch}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Authenticate(text); !errors.Is(err, ledger.ErrUnknownKey) {
		t.Errorf("authenticate: %v", err)
	}
}

// Limits that wait for their window must not let through those that were to follow
// them when they are changed once more.
func TestASecondChangeOfLimitsWaitsForThoseInForce(t *testing.T) {
	zone := time.FixedZone("east", 13*3600+30*60) // midnight is at 10:30 UTC, half an hour after the clock starts
	old := []limits.Row{{RPM: 1, RPD: 10, TokenType: limits.Total}, {Model: "gone", RPD: 11, TokenType: limits.Total}}
	wide := []limits.Row{{RPM: 1000, RPD: 10_000, TokenType: limits.Total}, {Model: "new", RPM: 7, TPD: 70, TokenType: limits.Input}}
	last := []limits.Row{{RPM: 2, RPD: 20, TokenType: limits.Total}}
	for _, test := range []struct {
		name  string
		after time.Duration
		want  []limits.Row
	}{
		{"in the same minute", 59 * time.Second, old},
		{"in the next minute", 60 * time.Second, []limits.Row{
			{RPM: 1000, RPD: 10, TokenType: limits.Total}, {Model: "new", RPM: 7, TokenType: limits.Input}, {Model: "gone", RPD: 11, TokenType: limits.Total},
		}},
		{"on the next day", time.Hour, wide},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := newClock()
			l := open(t, t.TempDir(), ledger.WithClock(clock.now), ledger.WithZone(zone))
			key, _ := member(t, l, ledger.NewKey{Limits: old}, 0)
			change := func(limits []limits.Row, effective ledger.Effective) ledger.Key {
				changed, err := l.UpdateKey(t.Context(), key.ID, 0, ledger.KeyPatch{Limits: &limits, Effective: effective})
				if err != nil {
					t.Fatal(err)
				}
				return changed
			}
			change(wide, ledger.EffectiveNextWindow)
			clock.add(test.after)
			got := change(last, ledger.EffectiveNextWindow)
			if !slices.Equal(got.LimitsChange.Previous, test.want) || !got.LimitsChange.At.Equal(clock.now()) {
				t.Errorf("limits before %s:\n%+v, want\n%+v", got.LimitsChange.At, got.LimitsChange.Previous, test.want)
			}
			if got = change(last, ledger.EffectiveNow); got.LimitsChange.Previous != nil {
				t.Errorf("the same limits now still wait for %+v", got.LimitsChange.Previous)
			}
		})
	}
}

func TestTheLargestAmountsDoNotStopTheLedger(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "data")
	l := open(t, directory)
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, ledger.Credit)
	for n := range 1030 { // 1024 times the largest amount exceed an int64
		owner := fmt.Sprint("owner ", n)
		if _, err := l.CreateAccount(t.Context(), owner, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := l.TopUp(t.Context(), owner, ledger.MaxMicro, owner); err != nil {
			t.Fatal(err)
		}
		nonsense := ledger.Quantity{InputTokens: math.MaxInt64, OutputTokens: math.MaxInt64, Duration: math.MaxInt64}
		id := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m"})
		if _, err := l.Settle(t.Context(), id, ledger.Settlement{Quantity: nonsense}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := l.Usage(t.Context(), ledger.UsageQuery{KeyID: key.ID})
	if err != nil || len(rows) != 1 || rows[0].InputTokens != math.MaxInt64 || rows[0].OutputTokens != math.MaxInt64 || rows[0].Duration < 0 {
		t.Errorf("usage: %+v, %v", rows, err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory)
	if account, _ := l.Account("owner 1029"); account.Available != ledger.MaxMicro {
		t.Errorf("account: %+v", account)
	}
}

// stuckStore does not answer until it is let go.
type stuckStore struct {
	*sqlitestore.Store
	stick       atomic.Bool
	stuck, free chan struct{}
}

func (s *stuckStore) Append(ctx context.Context, entries []ledger.Entry) error {
	if s.stick.Load() {
		s.stuck <- struct{}{}
		<-s.free
	}
	return s.Store.Append(ctx, entries)
}

func TestACloseThatGaveUpLeavesNobodyWaiting(t *testing.T) {
	directory := t.TempDir()
	inner, err := sqlitestore.Open(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	store := &stuckStore{Store: inner, stuck: make(chan struct{}, 10), free: make(chan struct{})}
	l, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	request := ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)}
	holds := []ledger.HoldID{hold(t, l, request), hold(t, l, request)}
	store.stick.Store(true)
	settled := make(chan error, len(holds))
	settle := func(id ledger.HoldID) {
		_, err := l.Settle(context.Background(), id, ledger.Settlement{Quantity: minuteOf(1)})
		settled <- err
	}
	go settle(holds[0])
	<-store.stuck
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("close while the disk is stuck: %v", err)
	}
	go settle(holds[1])
	for l.Stats().Held > 0 {
		time.Sleep(time.Millisecond)
	}
	close(store.free)
	for range holds {
		select {
		case err := <-settled:
			if err != nil {
				t.Errorf("settle: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a settlement waits for a commit that never comes")
		}
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		again, err := sqlitestore.Open(t.Context(), directory)
		if err == nil {
			if err := again.Close(); err != nil {
				t.Error(err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the file is still in use: %v", err)
		}
	}
}

func TestAfterACrashAFullChargeCoversWhatAHoldGrewTo(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory, ledger.WithCrashPolicy(ledger.CrashFull))
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	id := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1), Stream: true})
	if _, err := l.Extend(t.Context(), id, minuteOf(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.CreateAccount(t.Context(), "other", ""); err != nil { // all before it is durable too
		t.Fatal(err)
	}
	// What is on the disk now is what a crash would leave.
	crashed := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(crashed, os.DirFS(directory)); err != nil {
		t.Fatal(err)
	}
	l = open(t, crashed, ledger.WithCrashPolicy(ledger.CrashFull))
	if account, _ := l.Account("acme"); account.Spent != 3*ledger.Credit {
		t.Errorf("%s credits were charged, want 3", account.Spent)
	}
}
