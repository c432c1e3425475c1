package ledger_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
)

func second2[T any](_ T, err error) error { return err }

func third[T, U any](_ T, _ U, err error) error { return err }

func TestRotationOverlapsAsLongAsAsked(t *testing.T) {
	clock, directory := newClock(), t.TempDir()
	l := open(t, directory, ledger.WithClock(clock.now))
	key, first := member(t, l, ledger.NewKey{}, 0)
	rotated, secret, err := l.RotateKey(t.Context(), key.ID, ledger.Rotation{Overlap: time.Hour})
	if err != nil || rotated.ID != key.ID || rotated.Version != key.Version+1 {
		t.Fatalf("%+v, %v", rotated, err)
	}
	valid := func(want map[string]bool) {
		t.Helper()
		for text, ok := range want {
			if _, err := l.Authenticate(text); (err == nil) != ok {
				t.Errorf("valid is %v, want %v", err == nil, ok)
			}
		}
	}
	valid(map[string]bool{first: true, secret.Reveal(): true})
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory, ledger.WithClock(clock.now))
	valid(map[string]bool{first: true, secret.Reveal(): true})
	clock.add(time.Hour)
	valid(map[string]bool{first: false, secret.Reveal(): true})
	_, third, err := l.RotateKey(t.Context(), key.ID, ledger.Rotation{Overlap: 0})
	if err != nil {
		t.Fatal(err)
	}
	valid(map[string]bool{first: false, secret.Reveal(): false, third.Reveal(): true})
	if _, _, err := l.RotateKey(t.Context(), key.ID, ledger.Rotation{Overlap: ledger.MaxOverlap + 1}); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("overlap too long: %v", err)
	}
}

func TestEachRotationKeepsItsOwnOverlap(t *testing.T) {
	clock, directory := newClock(), t.TempDir()
	l := open(t, directory, ledger.WithClock(clock.now), ledger.WithSnapshotEvery(1))
	key, first := member(t, l, ledger.NewKey{}, 0)
	rotate := func(rotation ledger.Rotation) string {
		t.Helper()
		_, secret, err := l.RotateKey(t.Context(), key.ID, rotation)
		if err != nil {
			t.Fatal(err)
		}
		return secret.Reveal()
	}
	texts := []string{first, rotate(ledger.Rotation{Overlap: 3 * time.Hour}), rotate(ledger.Rotation{Overlap: time.Hour}), rotate(ledger.Rotation{})}
	valid := func(want ...bool) {
		t.Helper()
		for i, text := range texts {
			if _, err := l.Authenticate(text); (err == nil) != want[i] {
				t.Errorf("%s later: text %d is valid: %v", clock.now().Sub(newClock().now()), i, err == nil)
			}
		}
	}
	valid(true, true, false, true) // the third was replaced without an overlap
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory, ledger.WithClock(clock.now))
	valid(true, true, false, true)
	clock.add(time.Hour)
	valid(true, false, false, true)
	clock.add(time.Hour)
	texts = append(texts, rotate(ledger.Rotation{Overlap: time.Hour, EndPrevious: true}))
	valid(false, false, false, true, true)
	for range 9 {
		rotate(ledger.Rotation{Overlap: time.Hour})
	}
	if _, _, err := l.RotateKey(t.Context(), key.ID, ledger.Rotation{Overlap: time.Hour}); !errors.Is(err, ledger.ErrOverlaps) {
		t.Errorf("the eleventh overlap: %v", err)
	}
	clock.add(time.Hour)
	rotate(ledger.Rotation{Overlap: time.Hour}) // the old ones have ended
}

func TestAPausedKeyRunsNoCallUntilItIsResumed(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory, ledger.WithSnapshotEvery(1))
	key, text := member(t, l, ledger.NewKey{}, ledger.Credit)
	paused := true
	if _, err := l.UpdateKey(t.Context(), key.ID, 0, ledger.KeyPatch{Paused: &paused}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := l.Authenticate(text)
		if err != nil || !got.Paused || got.State(time.Now()) != ledger.StatePaused {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "m"}); !errors.Is(err, ledger.ErrPaused) {
			t.Errorf("a paused key runs a call: %v", err)
		}
		if keys, _, err := l.ListKeys(ledger.KeyQuery{State: ledger.StatePaused}); err != nil || len(keys) != 1 {
			t.Errorf("%d paused keys, %v", len(keys), err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l = open(t, directory)
	}
	paused = false
	if got, err := l.UpdateKey(t.Context(), key.ID, 0, ledger.KeyPatch{Paused: &paused}); err != nil || got.Paused {
		t.Errorf("%+v, %v", got, err)
	}
	hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m"})
}

func TestAKeySaysWhenItWasLastUsed(t *testing.T) {
	directory, clock := t.TempDir(), newClock()
	l := open(t, directory, ledger.WithClock(clock.now), ledger.WithSnapshotEvery(1))
	key, _ := member(t, l, ledger.NewKey{}, ledger.Credit)
	if !key.LastUsedAt.IsZero() {
		t.Errorf("a new key was used %s", key.LastUsedAt)
	}
	running := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m"})
	clock.add(time.Minute)
	if _, err := l.Settle(t.Context(), running, ledger.Settlement{Quantity: ledger.Quantity{InputTokens: 1}}); err != nil {
		t.Fatal(err)
	}
	used := clock.now()
	clock.add(time.Hour)
	for range 2 {
		if got, _ := l.Key(key.ID); !got.LastUsedAt.Equal(used) {
			t.Errorf("used %s, want %s", got.LastUsedAt, used)
		}
		if _, err := l.UpdateKey(t.Context(), key.ID, 0, ledger.KeyPatch{}); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		l = open(t, directory, ledger.WithClock(clock.now))
	}
}

// Gateways that share limits count a key under its id.
func TestAnImportedKeyHasTheSameIDInEveryLedger(t *testing.T) {
	first, second := open(t, t.TempDir()), open(t, t.TempDir())
	ids := make(map[string]bool)
	for _, text := range []string{"one key", "another key"} {
		hash := sha256.Sum256([]byte(text))
		here, err := first.ImportKey(t.Context(), ledger.NewKey{Name: text}, hash, "")
		if err != nil {
			t.Fatal(err)
		}
		there, err := second.ImportKey(t.Context(), ledger.NewKey{Name: "other " + text}, hash, "")
		if err != nil || there.ID != here.ID {
			t.Errorf("the id is %s here and %s there, %v", here.ID, there.ID, err)
		}
		ids[here.ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("two keys have the ids %v", ids)
	}
}

func TestForeignKeysAreImportedByHash(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory)
	const aquin = "aq-m_1234567890abcdef"
	hex64 := strings.Repeat("9f3c", 16)
	key, err := l.ImportKey(t.Context(), ledger.NewKey{Name: "old", Owner: "acme"}, sha256.Sum256([]byte(aquin)), "aq-mcdef")
	if err != nil || key.Hint != "aq-mcdef" {
		t.Fatalf("%+v, %v", key, err)
	}
	again, err := l.ImportKey(t.Context(), ledger.NewKey{Name: "again"}, sha256.Sum256([]byte(aquin)), "")
	if !errors.Is(err, ledger.ErrExists) || again.ID != key.ID {
		t.Errorf("imported again: %+v, %v", again, err)
	}
	if _, err := l.ImportKey(t.Context(), ledger.NewKey{Name: "hex"}, sha256.Sum256([]byte(hex64)), "9f3c9f3c"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory)
	for _, text := range []string{aquin, hex64} {
		if _, err := l.Authenticate(text); err != nil {
			t.Error(err)
		}
		if _, err := l.Authenticate(text + "0"); err == nil {
			t.Error("a longer text authenticates")
		}
	}
	_, secret, err := l.RotateKey(t.Context(), key.ID, ledger.Rotation{Overlap: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{aquin, secret.Reveal()} {
		if got, err := l.Authenticate(text); err != nil || got.ID != key.ID {
			t.Errorf("after rotation: %+v, %v", got.ID, err)
		}
	}
}

func TestKeyChangesAreConditionalAndSurvive(t *testing.T) {
	directory, clock := t.TempDir(), newClock()
	l := open(t, directory, ledger.WithClock(clock.now))
	key, _ := member(t, l, ledger.NewKey{Limits: []limits.Row{{RPM: 60}}, Metadata: map[string]string{"team": "a"}}, 0)
	newLimits := []limits.Row{{RPM: 5, TokenType: limits.Output}, {Model: "tiny", TPD: 9}}
	name, expires := "renamed", clock.now().Add(time.Hour)
	changed, err := l.UpdateKey(t.Context(), key.ID, key.Version, ledger.KeyPatch{
		Name: &name, Limits: &newLimits, Effective: ledger.EffectiveNextWindow, Budget: &ledger.Budget{Amount: 5}, ExpiresAt: &expires,
	})
	if err != nil {
		t.Fatal(err)
	}
	var conflict *ledger.ConflictError
	if _, err := l.UpdateKey(t.Context(), key.ID, key.Version, ledger.KeyPatch{}); !errors.As(err, &conflict) || conflict.Current != changed.Version {
		t.Errorf("stale update: %v", err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory, ledger.WithClock(clock.now))
	got, _ := l.Key(key.ID)
	if fmt.Sprint(got) != fmt.Sprint(changed) {
		t.Errorf("after a restart: %+v\nbefore: %+v", got, changed)
	}
	if got.Name != name || len(got.Limits) != 2 || got.Limits[1].TokenType != limits.Total || len(got.LimitsChange.Previous) != 1 || got.LimitsChange.Previous[0].RPM != 60 ||
		!got.LimitsChange.At.Equal(clock.now()) || got.Budget != 5 || got.Metadata["team"] != "a" || !got.ExpiresAt.Equal(expires) {
		t.Errorf("key: %+v", got)
	}
	none := []limits.Row{}
	if got, err = l.UpdateKey(t.Context(), key.ID, 0, ledger.KeyPatch{Limits: &none, Budget: &ledger.Budget{Unlimited: true}, ExpiresAt: &time.Time{}}); err != nil {
		t.Fatal(err)
	}
	if len(got.Limits) != 0 || got.LimitsChange.Previous != nil || got.HasBudget || !got.ExpiresAt.IsZero() {
		t.Errorf("cleared key: %+v", got)
	}
}

func TestAUniqueNameIsGivenOnce(t *testing.T) {
	l := open(t, t.TempDir())
	const writers = 20
	var made atomic.Int64
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			_, _, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "twin", UniqueName: true})
			if err == nil {
				made.Add(1)
			} else if !errors.Is(err, ledger.ErrNameTaken) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	keys, _, err := l.ListKeys(ledger.KeyQuery{Name: "twin"})
	if err != nil || len(keys) != 1 || made.Load() != 1 {
		t.Fatalf("%d keys, %d were made, %v", len(keys), made.Load(), err)
	}
}

func TestAUniqueNameIsUniqueAmongAnOwnersKeysThatAreNotRevoked(t *testing.T) {
	l := open(t, t.TempDir())
	unique := func(owner, name string) (ledger.Key, error) {
		key, _, err := l.CreateKey(t.Context(), ledger.NewKey{Name: name, Owner: owner, UniqueName: true})
		return key, err
	}
	first, err := unique("a", "name")
	if err != nil {
		t.Fatal(err)
	}
	longer, err := unique("a", "name longer") // what begins alike is another name
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unique("b", "name"); err != nil {
		t.Errorf("another owner may not use the name: %v", err)
	}
	if _, err := l.ImportKey(t.Context(), ledger.NewKey{Name: "name", Owner: "a", UniqueName: true}, [32]byte{1}, ""); !errors.Is(err, ledger.ErrNameTaken) {
		t.Errorf("an import took the name: %v", err)
	}
	rename := func(key ledger.Key, name string) error {
		_, err := l.UpdateKey(t.Context(), key.ID, 0, ledger.KeyPatch{Name: &name, UniqueName: true})
		return err
	}
	if err := rename(longer, "name"); !errors.Is(err, ledger.ErrNameTaken) {
		t.Errorf("a change took the name: %v", err)
	}
	if err := rename(first, "name"); err != nil {
		t.Errorf("a key may not keep its own name: %v", err)
	}
	if _, err := l.RevokeKey(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if err := rename(longer, "name"); err != nil {
		t.Errorf("the name of a revoked key is not free: %v", err)
	}
	if _, _, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "name", Owner: "a"}); err != nil {
		t.Errorf("a key that asks for nothing is refused: %v", err)
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
