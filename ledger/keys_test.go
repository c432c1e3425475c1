package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
)

func TestASecretCannotBePrinted(t *testing.T) {
	l := open(t, t.TempDir())
	_, secret, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%c", "%t"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", &secret)
		fmt.Fprintf(&out, verb+"\n", struct{ Hidden ledger.Secret }{secret})
		fmt.Fprintf(&out, verb+"\n", []any{secret, map[string]any{"k": secret}})
	}
	for _, encode := range []func() error{
		func() error { return json.NewEncoder(&out).Encode(map[string]any{"a": secret, "b": &secret}) },
		func() error { return xml.NewEncoder(&out).Encode(secret) },
	} {
		if err := encode(); err != nil {
			t.Error(err)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", secret, "pointer", &secret)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", secret, "in", struct{ S ledger.Secret }{secret})
	for _, encoder := range []zapcore.Encoder{
		zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
	} {
		zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&out), zap.DebugLevel)).
			Info("x", zap.Any("secret", secret), zap.Reflect("reflect", secret), zap.Stringer("s", secret), zap.Any("in", struct{ S ledger.Secret }{secret}))
	}
	fmt.Fprintln(&out, fmt.Errorf("wrapped: %v", secret))
	text := secret.Reveal()
	if strings.Contains(out.String(), text[15:47]) || strings.Contains(out.String(), fmt.Sprintf("%x", text[15:47])) {
		t.Errorf("the secret was printed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "[secret]") {
		t.Error("the placeholder was not printed")
	}
}

func TestKeyTextsReachNeitherDiskNorErrors(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory)
	var texts []string
	for range 20 {
		key, text := member(t, l, ledger.NewKey{}, 0)
		_, rotated, err := l.RotateKey(t.Context(), key.ID, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text, rotated.Reveal())
	}
	for _, text := range texts {
		for _, err := range []error{
			second2(l.Authenticate(text + "x")), second2(l.Authenticate(text[:len(text)-1] + "!")),
			second2(l.RevokeKey(t.Context(), text)), second2(l.UpdateKey(t.Context(), text, 0, ledger.KeyPatch{})),
		} {
			if err == nil || strings.Contains(err.Error(), text[15:47]) {
				t.Errorf("error: %v", err)
			}
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, text := range texts {
			if bytes.Contains(content, []byte(text[15:47])) {
				t.Errorf("%s holds the text of a key", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func second2[T any](_ T, err error) error { return err }

func TestKeysHaveTheirFormatAndUniqueHints(t *testing.T) {
	l := open(t, t.TempDir())
	hints := map[string]bool{}
	for range 500 {
		key, text := member(t, l, ledger.NewKey{Owner: "acme"}, 0)
		if !regexp.MustCompile(`^pk_m_[0-9A-Za-z]{48}$`).MatchString(text) {
			t.Fatal("the format is wrong")
		}
		if key.Hint != text[:4]+text[len(text)-4:] || text[5:15] != key.ID || hints[key.Hint] {
			t.Fatalf("hint %q of key %s is wrong or was given before", key.Hint, key.ID)
		}
		hints[key.Hint] = true
	}
	_, admin, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "root", Role: ledger.RoleAdmin, AllOwners: true})
	if err != nil || !strings.HasPrefix(admin.Reveal(), "pk_a_") {
		t.Errorf("admin key: %v", err)
	}
	other := open(t, t.TempDir(), ledger.WithPrefix("gw2"))
	if _, text := member(t, other, ledger.NewKey{}, 0); !strings.HasPrefix(text, "gw2_m_") {
		t.Error("the prefix is wrong")
	}
}

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
		third(l.RotateKey(t.Context(), dead.ID, 0)),
	} {
		if !errors.Is(change, ledger.ErrRevoked) {
			t.Errorf("changing a revoked key: %v", change)
		}
	}
}

func third[T, U any](_ T, _ U, err error) error { return err }

func TestRotationOverlapsAsLongAsAsked(t *testing.T) {
	clock, directory := newClock(), t.TempDir()
	l := open(t, directory, ledger.WithClock(clock.now))
	key, first := member(t, l, ledger.NewKey{}, 0)
	rotated, secret, err := l.RotateKey(t.Context(), key.ID, time.Hour)
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
	_, third, err := l.RotateKey(t.Context(), key.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	valid(map[string]bool{first: false, secret.Reveal(): false, third.Reveal(): true})
	if _, _, err := l.RotateKey(t.Context(), key.ID, ledger.MaxOverlap+1); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("overlap too long: %v", err)
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
	_, secret, err := l.RotateKey(t.Context(), key.ID, time.Hour)
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

func TestBadValuesAreRefusedByName(t *testing.T) {
	l := open(t, t.TempDir())
	key, _ := member(t, l, ledger.NewKey{}, ledger.Credit)
	negative := []limits.Row{{RPM: -1}}
	for field, err := range map[string]error{
		"name":               third(l.CreateKey(t.Context(), ledger.NewKey{})),
		"owner":              third(l.CreateKey(t.Context(), ledger.NewKey{Name: "k", Owner: "a\nb"})),
		"limits.rpm":         second2(l.UpdateKey(t.Context(), key.ID, 0, ledger.KeyPatch{Limits: &negative})),
		"limits.token_type":  third(l.CreateKey(t.Context(), ledger.NewKey{Name: "k", Limits: []limits.Row{{TokenType: 9}}})),
		"model_limits":       third(l.CreateKey(t.Context(), ledger.NewKey{Name: "k", Limits: []limits.Row{{Model: "m"}, {Model: "m"}}})),
		"budget":             third(l.CreateKey(t.Context(), ledger.NewKey{Name: "k", HasBudget: true, Budget: ledger.MaxMicro + 1})),
		"all_owners":         third(l.CreateKey(t.Context(), ledger.NewKey{Name: "k", AllOwners: true})),
		"amount":             second2(l.TopUp(t.Context(), "default", -1, "k")),
		"amount ":            second2(l.TopUp(t.Context(), "default", ledger.MaxMicro+1, "k")),
		"amount  ":           second2(l.TopUp(t.Context(), "default", ledger.MaxMicro, "k")),
		"amount   ":          second2(l.Adjust(t.Context(), "default", -2*ledger.Credit, "k")),
		"idempotency_key":    second2(l.TopUp(t.Context(), "default", 1, "")),
		"price.minute":       l.SetPrice(t.Context(), "m", ledger.Price{Minute: -1}),
		"price.output":       l.SetPrice(t.Context(), "m", ledger.Price{Output: ledger.MaxMicro + 1}),
		"price.cached_input": l.SetPrice(t.Context(), "m", ledger.Price{Input: 1, CachedInput: 2}),
		"quantity":           second2(l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Worst: ledger.Quantity{InputTokens: -1}})),
		"model":              second2(l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: strings.Repeat("m", 300)})),
		"id":                 second2(l.CreateAccount(t.Context(), "", "")),
	} {
		var invalid *ledger.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	var credit *ledger.CreditError
	_, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Worst: ledger.Quantity{Duration: 1<<63 - 1, InputTokens: 1<<63 - 1}})
	if !errors.As(err, &credit) || !credit.Never {
		t.Errorf("hold beyond all bounds: %v", err)
	}
	if _, err := l.CreateAccount(t.Context(), "default", ""); !errors.Is(err, ledger.ErrExists) {
		t.Errorf("account twice: %v", err)
	}
	if _, err := l.TopUp(t.Context(), "nobody", 1, "k"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("top-up of nobody: %v", err)
	}
	if account, _ := l.Account("default"); account.Available != ledger.Credit {
		t.Errorf("account: %+v", account)
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
