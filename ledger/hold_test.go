package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestARefusalSaysWhatIsMissingAndWhetherWaitingHelps(t *testing.T) {
	l := open(t, t.TempDir())
	rich, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	capped, _ := member(t, l, ledger.NewKey{Owner: "acme", HasBudget: true, Budget: 4 * ledger.Credit}, 0)
	hold(t, l, ledger.HoldRequest{KeyID: rich.ID, Model: "m", Worst: minuteOf(3)})
	hold(t, l, ledger.HoldRequest{KeyID: capped.ID, Model: "m", Worst: minuteOf(3)})
	for _, test := range []struct {
		name    string
		key     string
		minutes int64
		want    ledger.CreditError
	}{
		{"others hold too much", rich.ID, 5, ledger.CreditError{Needed: 5 * ledger.Credit, Available: 4 * ledger.Credit, Held: 6 * ledger.Credit, Limit: 10 * ledger.Credit}},
		{"more than there is", rich.ID, 11, ledger.CreditError{Never: true, Needed: 11 * ledger.Credit, Available: 4 * ledger.Credit, Held: 6 * ledger.Credit, Limit: 10 * ledger.Credit}},
		{"budget is held", capped.ID, 2, ledger.CreditError{Budget: true, Needed: 2 * ledger.Credit, Available: ledger.Credit, Held: 3 * ledger.Credit, Limit: 4 * ledger.Credit}},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := ledger.HoldRequest{KeyID: test.key, Model: "m", Worst: minuteOf(test.minutes)}
			_, held := l.Hold(t.Context(), request)
			_, quoted := l.Quote(request)
			for _, err := range []error{held, quoted} {
				var credit *ledger.CreditError
				if !errors.As(err, &credit) || *credit != test.want {
					t.Errorf("%+v, want %+v", credit, test.want)
				}
			}
		})
	}
	if err := l.SetPrice(t.Context(), "gift", ledger.Price{}); err != nil {
		t.Fatal(err)
	}
	poor, _ := member(t, l, ledger.NewKey{Owner: "poor"}, 0)
	if _, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: poor.ID, Model: "gift", Worst: minuteOf(9)}); err != nil {
		t.Errorf("a call that costs nothing needs no credit: %v", err)
	}
}

func TestAQuoteIsWhatAHoldTakes(t *testing.T) {
	l := open(t, t.TempDir())
	key, _ := member(t, l, ledger.NewKey{Owner: "acme", HasBudget: true, Budget: 5 * ledger.Credit}, 10*ledger.Credit)
	if err := l.SetPrice(t.Context(), "m", ledger.Price{Minute: ledger.Credit, Input: 7, Output: 9, Request: 11}); err != nil {
		t.Fatal(err)
	}
	for _, minutes := range []int64{1, 2, 1, 0} {
		request := ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(minutes)}
		request.Worst.InputTokens, request.Worst.OutputTokens = 1_000_001, 2_000_002
		before, _ := l.Account("acme")
		quote, err := l.Quote(request)
		if after, _ := l.Account("acme"); err != nil || before != after {
			t.Fatalf("%v, %+v, before %+v", err, after, before)
		}
		if hold, err := l.Hold(t.Context(), request); err != nil || hold.Amount != quote {
			t.Errorf("%s quoted, %s held, %v", quote, hold.Amount, err)
		}
	}
	if _, err := l.RevokeKey(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Quote(ledger.HoldRequest{KeyID: key.ID, Model: "m"}); !errors.Is(err, ledger.ErrUnknownKey) {
		t.Errorf("a revoked key: %v", err)
	}
}

func TestEventsTellOfWriteOffs(t *testing.T) {
	var mu sync.Mutex
	var events []ledger.Event
	l := open(t, t.TempDir(), ledger.WithEvents(func(e ledger.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}))
	key, _ := member(t, l, ledger.NewKey{Owner: "acme", HasBudget: true, Budget: 3 * ledger.Credit}, 3*ledger.Credit)
	for _, minutes := range []int64{1, 1, 9} {
		id := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)})
		if _, err := l.Settle(t.Context(), id, ledger.Settlement{Quantity: minuteOf(minutes)}); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := []ledger.Event{
		{Kind: ledger.EventWriteOff, Account: "acme", KeyID: key.ID, Amount: 8 * ledger.Credit},
	}
	if !slices.Equal(events, want) {
		t.Errorf("events %+v\nwant %+v", events, want)
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
	if _, err := l.CreateAccount(t.Context(), ledger.NewAccount{ID: "other"}); err != nil { // all before it is durable too
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

// Names of models are kept forever, so there is a maximum. The request that exceeds it
// is at fault, not the ledger.
func TestOneModelTooManyIsAnInvalidValue(t *testing.T) {
	l := open(t, t.TempDir())
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, ledger.Credit)
	use := func(model string) error {
		hold, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: model})
		if err == nil {
			err = l.Void(t.Context(), hold.ID, ledger.OutcomeOK)
		}
		return err
	}
	for i := range 1<<16 - 1 { // the name "" is one too
		if err := use(fmt.Sprint("model ", i)); err != nil {
			t.Fatal(err)
		}
	}
	for what, err := range map[string]error{
		"Hold":     use("one more"),
		"SetPrice": l.SetPrice(t.Context(), "one more", ledger.Price{Minute: ledger.Credit}),
	} {
		var invalid *ledger.InvalidError
		if !errors.Is(err, ledger.ErrInvalid) || !errors.As(err, &invalid) || invalid.Field != "model" {
			t.Errorf("%s: %v, want an error about the field model that wraps ErrInvalid", what, err)
		}
	}
	if err := use("model 7"); err != nil {
		t.Errorf("a model that is known: %v", err)
	}
}

func TestARunningCallKeepsThePriceItStartedWith(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory)
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 100*ledger.Credit)
	price := ledger.Price{Input: 3 * ledger.Credit, CachedInput: ledger.Free, Output: 9 * ledger.Credit, Request: 1000}
	for range 2 { // the same price again is no new version
		if err := l.SetPrice(t.Context(), "large", price); err != nil {
			t.Fatal(err)
		}
	}
	id := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "large", Worst: ledger.Quantity{InputTokens: 1000, OutputTokens: 1000}})
	before := l.Stats().Sequence
	if err := l.SetPrice(t.Context(), "large", ledger.Price{Minute: 50 * ledger.Credit}); err != nil {
		t.Fatal(err)
	}
	if now := l.Stats().Sequence; now != before+1 {
		t.Errorf("a changed price makes %d entries", now-before)
	}
	charge, err := l.Settle(t.Context(), id, ledger.Settlement{Quantity: ledger.Quantity{InputTokens: 1000, CachedTokens: 400, OutputTokens: 10, Duration: time.Hour}})
	if want := ledger.Micro(600*3 + 10*9 + 1000); err != nil || charge.Amount != want {
		t.Errorf("charge %+v, %v, want %d", charge, err, want)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l = open(t, directory)
	if err := l.SetPrice(t.Context(), "", ledger.Price{Request: 7}); err != nil {
		t.Fatal(err)
	}
	if got := l.Price("large"); got.Minute != 50*ledger.Credit {
		t.Errorf("price after a restart: %+v", got)
	}
	if got := l.Price("other"); got != (ledger.Price{Request: 7}) {
		t.Errorf("default price: %+v", got)
	}
	if models := l.PricedModels(); len(models) != 1 || models[0] != "large" {
		t.Errorf("priced models: %v", models)
	}
}
