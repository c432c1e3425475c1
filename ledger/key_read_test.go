package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestOnlyUsableKeysAuthenticate(t *testing.T) {
	clock := newClock()
	l := open(t, t.TempDir(), ledger.WithClock(clock.now))
	good, text := member(t, l, ledger.NewKey{Name: "good"}, 0)
	_, expiring := member(t, l, ledger.NewKey{Name: "expiring", ExpiresAt: clock.now().Add(time.Hour)}, 0)
	dead, revoked := member(t, l, ledger.NewKey{Name: "revoked"}, 0)
	if _, err := l.Authenticate(expiring); err != nil {
		t.Errorf("before it expires: %v", err)
	}
	clock.add(time.Hour)
	if _, err := l.RevokeKey(t.Context(), dead.ID); err != nil {
		t.Fatal(err)
	}
	flip := func(at int) string {
		b := []byte(text)
		b[at] ^= 1
		return string(b)
	}
	for name, bad := range map[string]string{
		"expired": expiring, "revoked": revoked, "empty": "", "long": strings.Repeat("a", 100_000), "cut": text[:len(text)-1],
		"id flipped": flip(7), "secret flipped": flip(30), "checksum flipped": flip(50), "role flipped": "pk_a" + text[4:],
		"NUL": text + "\x00", "only the id": good.ID,
	} {
		if key, err := l.Authenticate(bad); err != ledger.ErrUnknownKey || key.ID != "" { //nolint:errorlint // it must be this very error
			t.Errorf("%s: %v, %v", name, key.ID, err)
		}
	}
	if _, err := l.Authenticate(text); err != nil {
		t.Error(err)
	}
	for text, state := range map[string]ledger.KeyState{text: ledger.StateActive, expiring: ledger.StateExpired, revoked: ledger.StateRevoked} {
		if key, ok := l.KeyByText(text); !ok || key.State(clock.now()) != state {
			t.Errorf("looked up: %+v, %v, want state %d", key.ID, ok, state)
		}
	}
	for _, change := range []error{
		second2(l.UpdateKey(t.Context(), dead.ID, 0, ledger.KeyPatch{})),
		third(l.RotateKey(t.Context(), dead.ID, ledger.Rotation{Overlap: 0})),
	} {
		if !errors.Is(change, ledger.ErrRevoked) {
			t.Errorf("changing a revoked key: %v", change)
		}
	}
}

func TestListingPagesThroughWhatMatches(t *testing.T) {
	l := open(t, t.TempDir())
	for i := range 25 {
		request := ledger.NewKey{Name: fmt.Sprintf("%s %d", []string{"web", "batch"}[i%2], i), Owner: []string{"a", "b"}[i%3/2]}
		if i%5 == 0 {
			request.Models = []string{"tiny"}
		}
		key, _ := member(t, l, request, 0)
		if i >= 20 {
			if _, err := l.RevokeKey(t.Context(), key.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	admin := ledger.RoleAdmin
	if _, _, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "root", Role: admin, Owner: "a"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		query ledger.KeyQuery
		want  int
	}{
		{ledger.KeyQuery{}, 26},
		{ledger.KeyQuery{Owner: "b"}, 8},
		{ledger.KeyQuery{Owner: "nobody"}, 0},
		{ledger.KeyQuery{Role: &admin}, 1},
		{ledger.KeyQuery{State: ledger.StateRevoked}, 5},
		{ledger.KeyQuery{State: ledger.StateActive, Name: "web"}, 10},
		{ledger.KeyQuery{Model: "large", Name: "batch"}, 10},
	} {
		for _, limit := range []int{1, 3, 100} {
			query, seen := test.query, map[string]bool{}
			query.Limit = limit
			for {
				keys, next, err := l.ListKeys(query)
				if err != nil || len(keys) > limit {
					t.Fatalf("%d keys, %v", len(keys), err)
				}
				for _, key := range keys {
					if seen[key.ID] {
						t.Errorf("key %s is listed twice", key.ID)
					}
					seen[key.ID] = true
				}
				if query.After = next; next == "" {
					break
				}
			}
			if len(seen) != test.want {
				t.Errorf("%+v: %d keys, want %d", test.query, len(seen), test.want)
			}
		}
	}
	if _, _, err := l.ListKeys(ledger.KeyQuery{After: "nonsense"}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("bad cursor: %v", err)
	}
}

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
