package ledger_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestTheLargestAmountsDoNotStopTheLedger(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "data")
	l := open(t, directory)
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, ledger.Credit)
	for n := range 1030 { // 1024 times the largest amount exceed an int64
		owner := fmt.Sprint("owner ", n)
		if _, err := l.CreateAccount(t.Context(), ledger.NewAccount{ID: owner}); err != nil {
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

func TestAFrozenAccountRunsNoCallUntilItIsUnfrozen(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory, ledger.WithSnapshotEvery(1))
	key, text := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	running := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)})
	frozen, thawed, name := true, false, "Acme Ltd"
	got, err := l.UpdateAccount(t.Context(), "acme", ledger.AccountPatch{Name: &name, Frozen: &frozen, Reason: "invoice is overdue"})
	if err != nil || !got.Frozen || got.Name != name || got.Available != 9*ledger.Credit {
		t.Fatalf("%+v, %v", got, err)
	}
	// What runs goes on and is charged; credit can be added.
	if _, err := l.Extend(t.Context(), running, minuteOf(2)); err != nil {
		t.Error(err)
	}
	if _, err := l.Settle(t.Context(), running, ledger.Settlement{Quantity: minuteOf(2)}); err != nil {
		t.Error(err)
	}
	if _, err := l.TopUp(t.Context(), "acme", ledger.Credit, "invoice 2"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if _, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "m"}); !errors.Is(err, ledger.ErrFrozen) {
			t.Errorf("a frozen account runs a call: %v", err)
		}
		if key, err := l.Authenticate(text); err != nil || !key.OwnerFrozen {
			t.Errorf("%+v, %v", key, err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l = open(t, directory)
	}
	if got, err = l.UpdateAccount(t.Context(), "acme", ledger.AccountPatch{Frozen: &thawed}); err != nil || got.Frozen || got.Name != name {
		t.Errorf("%+v, %v", got, err)
	}
	before := l.Stats().Sequence
	if _, err = l.UpdateAccount(t.Context(), "acme", ledger.AccountPatch{Frozen: &thawed, Name: &name}); err != nil || l.Stats().Sequence != before {
		t.Errorf("what changes nothing is in the log: %v", err)
	}
	hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m"})
	if _, err := l.UpdateAccount(t.Context(), "nobody", ledger.AccountPatch{Frozen: &frozen}); !errors.Is(err, ledger.ErrNotFound) {
		t.Error(err)
	}
	var what []string
	entries, err := l.Entries(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		if line, err := json.Marshal(&entries[i]); err == nil && entries[i].Kind == ledger.KindAccount {
			what = append(what, entries[i].Reference)
			if entries[i].Reference == "frozen" && !strings.Contains(string(line), `"reason":"invoice is overdue"`) {
				t.Errorf("%s", line)
			}
		}
	}
	if fmt.Sprint(what) != "[created frozen unfrozen]" {
		t.Errorf("the log says %v", what)
	}
}

// asked is the idempotency of a request with this key and body.
func asked(key, body string) ledger.Idempotency {
	return ledger.Idempotency{Key: key, Scope: "test", Request: sha256.Sum256([]byte(body))}
}

func TestARequestTakesEffectOnceAlsoAfterARestart(t *testing.T) {
	directory, clock := t.TempDir(), newClock()
	l := open(t, directory, ledger.WithClock(clock.now), ledger.WithSnapshotEvery(1))
	request := ledger.NewKey{Name: "a", Owner: "acme", UniqueName: true, Idempotency: asked("k", "a")}
	key, secret, err := l.CreateKey(t.Context(), request)
	if err != nil || secret.Reveal() == "" {
		t.Fatalf("%+v, %v", key, err)
	}
	account := ledger.NewAccount{ID: "demo", Name: "Demo", Idempotency: asked("account", "demo")}
	if _, err := l.CreateAccount(t.Context(), account); err != nil {
		t.Fatal(err)
	}
	imported := ledger.NewKey{Name: "b", Owner: "acme", Idempotency: asked("import", "b")}
	if _, err := l.ImportKey(t.Context(), imported, sha256.Sum256([]byte("text")), ""); err != nil {
		t.Fatal(err)
	}
	rotation := ledger.Rotation{Overlap: time.Hour, Idempotency: asked("rotate", key.ID)}
	rotated, second, err := l.RotateKey(t.Context(), key.ID, rotation)
	if err != nil || second.Reveal() == "" {
		t.Fatalf("%+v, %v", rotated, err)
	}
	for i := range 3 {
		again, nothing, err := l.CreateKey(t.Context(), request)
		if err != nil || again.ID != key.ID || nothing.Reveal() != "" || again.Version != rotated.Version {
			t.Errorf("round %d: %+v, %v", i, again, err)
		}
		if again, nothing, err := l.RotateKey(t.Context(), key.ID, rotation); err != nil || nothing.Reveal() != "" || again.Version != rotated.Version {
			t.Errorf("round %d: rotated again: %+v, %v", i, again, err)
		}
		if got, err := l.CreateAccount(t.Context(), account); err != nil || got.Name != "Demo" {
			t.Errorf("round %d: %+v, %v", i, got, err)
		}
		if got, err := l.ImportKey(t.Context(), imported, sha256.Sum256([]byte("text")), ""); err != nil || got.Name != "b" {
			t.Errorf("round %d: imported again: %+v, %v", i, got, err)
		}
		other := request
		other.Idempotency = asked("k", "another body")
		if _, _, err := l.CreateKey(t.Context(), other); !errors.Is(err, ledger.ErrIdempotencyReused) {
			t.Errorf("round %d: another request with the same key: %v", i, err)
		}
		if i == 1 {
			clock.add(48 * time.Hour)
			if _, err := l.Prune(t.Context(), clock.now()); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l = open(t, directory, ledger.WithClock(clock.now), ledger.WithSnapshotEvery(1))
	}
	if keys, _, err := l.ListKeys(ledger.KeyQuery{Owner: "acme"}); err != nil || len(keys) != 2 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	// Another scope is another caller.
	request.UniqueName, request.Idempotency.Scope = false, "another"
	if other, _, err := l.CreateKey(t.Context(), request); err != nil || other.ID == key.ID {
		t.Errorf("another caller got %+v, %v", other, err)
	}
}

func TestTheSameRequestManyTimesAtOnceMakesOneKey(t *testing.T) {
	for _, unique := range []bool{false, true} {
		l := open(t, t.TempDir())
		keys, secrets := make([]ledger.Key, 8), make([]ledger.Secret, 8)
		var all sync.WaitGroup
		for i := range keys {
			all.Go(func() {
				var err error
				request := ledger.NewKey{Name: "a", UniqueName: unique, Idempotency: asked("k", "a")}
				if keys[i], secrets[i], err = l.CreateKey(t.Context(), request); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		texts := 0
		for i := range keys {
			if secrets[i].Reveal() != "" {
				texts++
			}
			if keys[i].ID != keys[0].ID {
				t.Errorf("keys %s and %s", keys[i].ID, keys[0].ID)
			}
		}
		if texts != 1 {
			t.Errorf("%d texts were shown", texts)
		}
	}
}

func TestTopUpsAndAdjustmentsMayHaveTheSameIdempotencyKey(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory)
	if _, err := l.CreateAccount(t.Context(), ledger.NewAccount{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	back := ledger.Adjustment{Amount: 5 * ledger.Credit, Reason: "goodwill", IdempotencyKey: "invoice 1"}
	for i := range 3 {
		added, err := l.TopUp(t.Context(), "acme", 5*ledger.Credit, "invoice 1")
		if err != nil || added.Replayed != (i > 0) {
			t.Errorf("top-up: %+v, %v", added, err)
		}
		corrected, err := l.Adjust(t.Context(), "acme", back)
		if err != nil || corrected.Replayed != (i > 0) || corrected.Sequence == added.Sequence || corrected.Account.Available != 10*ledger.Credit {
			t.Errorf("adjustment: %+v, %v", corrected, err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l = open(t, directory)
	}
	for name, other := range map[string]ledger.Adjustment{
		"amount": {Amount: ledger.Credit, Reason: "goodwill", IdempotencyKey: "invoice 1"},
		"reason": {Amount: 5 * ledger.Credit, Reason: "mistake", IdempotencyKey: "invoice 1"},
	} {
		if _, err := l.Adjust(t.Context(), "acme", other); !errors.Is(err, ledger.ErrIdempotencyReused) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	for i, bad := range []ledger.Adjustment{
		{Amount: -11 * ledger.Credit, Reason: "too much", IdempotencyKey: "a"},
		{Amount: -ledger.Credit, IdempotencyKey: "b"},
		{Amount: -ledger.Credit, Reason: "no key"},
		{Reason: "nothing", IdempotencyKey: "c"},
	} {
		if _, err := l.Adjust(t.Context(), "acme", bad); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%d: %v", i, err)
		}
	}
	// What runs keeps its credit.
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 0)
	hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(4)})
	if _, err := l.Adjust(t.Context(), "acme", ledger.Adjustment{Amount: -7 * ledger.Credit, Reason: "r", IdempotencyKey: "d"}); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("held credit was taken: %v", err)
	}
	got, err := l.Adjust(t.Context(), "acme", ledger.Adjustment{Amount: -6 * ledger.Credit, Reason: "r", IdempotencyKey: "e"})
	if err != nil || fmt.Sprint(got.Account.Available, got.Account.Held) != "0.000000 4.000000" {
		t.Errorf("%+v, %v", got, err)
	}
}
