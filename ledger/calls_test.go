package ledger_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestUsageOfSeveralModelsAddsUpPerModel(t *testing.T) {
	l := open(t, t.TempDir())
	key, _ := member(t, l, ledger.NewKey{}, ledger.Credit)
	for _, model := range []string{"a", "a", "b", "a", "b", "c", "a"} {
		hold, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: model, Worst: ledger.Quantity{Duration: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Settle(t.Context(), hold.ID, ledger.Settlement{Quantity: ledger.Quantity{OutputTokens: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := l.Usage(t.Context(), ledger.UsageQuery{Owner: "default"})
	if err != nil || len(rows) != 3 {
		t.Fatalf("usage: %+v, %v", rows, err)
	}
	for i, want := range []int64{4, 2, 1} {
		if rows[i].Requests != want || rows[i].OutputTokens != want {
			t.Errorf("row %d: %+v, want %d requests", i, rows[i], want)
		}
	}
}

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
		{"others hold too much", rich.ID, 5, ledger.CreditError{Needed: 5 * ledger.Credit, Available: 4 * ledger.Credit, Held: 6 * ledger.Credit}},
		{"more than there is", rich.ID, 11, ledger.CreditError{Never: true, Needed: 11 * ledger.Credit, Available: 4 * ledger.Credit, Held: 6 * ledger.Credit}},
		{"budget is held", capped.ID, 2, ledger.CreditError{Budget: true, Needed: 2 * ledger.Credit, Available: ledger.Credit, Held: 3 * ledger.Credit}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := l.Hold(t.Context(), ledger.HoldRequest{KeyID: test.key, Model: "m", Worst: minuteOf(test.minutes)})
			var credit *ledger.CreditError
			if !errors.As(err, &credit) || *credit != test.want {
				t.Errorf("%+v, want %+v", credit, test.want)
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
	l = open(t, directory, ledger.WithDefaultPrice(ledger.Price{Request: 7}))
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

func TestEventsTellOfWriteOffsAndThresholds(t *testing.T) {
	var mu sync.Mutex
	var events []ledger.Event
	l := open(t, t.TempDir(), ledger.WithEvents(func(e ledger.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}, ledger.Thresholds{BudgetPercent: []int{50, 100}, BalanceBelow: []ledger.Micro{ledger.Credit}}))
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
		{Kind: ledger.EventBudget, Account: "acme", KeyID: key.ID, Amount: 2 * ledger.Credit, Threshold: 50},
		{Kind: ledger.EventBudget, Account: "acme", KeyID: key.ID, Amount: 3 * ledger.Credit, Threshold: 100},
		{Kind: ledger.EventBalance, Account: "acme", Amount: 0, Threshold: int64(ledger.Credit)},
		{Kind: ledger.EventWriteOff, Account: "acme", KeyID: key.ID, Amount: 8 * ledger.Credit},
	}
	if !slices.Equal(events, want) {
		t.Errorf("events %+v\nwant %+v", events, want)
	}
}

func TestEntriesSayOnTheWireWhatHappened(t *testing.T) {
	clock := newClock()
	l := open(t, t.TempDir(), ledger.WithClock(clock.now))
	if !l.Empty() {
		t.Error("a new ledger is not empty")
	}
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 10*ledger.Credit)
	if l.Empty() {
		t.Error("a ledger with a key is empty")
	}
	first := hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "tiny", Worst: minuteOf(1), RequestID: "r1"})
	clock.add(time.Second)
	quantity := ledger.Quantity{InputTokens: 3, CachedTokens: 1, OutputTokens: 4, Duration: 60 * time.Millisecond}
	if _, err := l.Settle(t.Context(), first, ledger.Settlement{Quantity: quantity, Usage: ledger.UsageCounted, Outcome: ledger.OutcomeClientGone}); err != nil {
		t.Fatal(err)
	}
	if err := l.Void(t.Context(), hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "tiny"}), ledger.OutcomeOK); err != nil {
		t.Fatal(err)
	}
	if err := l.Void(t.Context(), hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "tiny"}), ledger.OutcomeUpstreamFailed); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Adjust(t.Context(), "acme", -ledger.Credit, "correction"); err != nil {
		t.Fatal(err)
	}
	entries, err := l.Entries(t.Context(), 3, 100)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, entry := range entries {
		line, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	want := []string{
		`{"seq":4,"at":"2026-11-20T10:00:00Z","kind":"topup","account":"acme","reference":"first top-up of ` + key.ID + `","amount_micro":10000000,"balance_micro":10000000}`,
		`{"seq":5,"at":"2026-11-20T10:00:01Z","kind":"settle","account":"acme","key_id":"` + key.ID + `","model":"tiny","request_id":"r1","hold":"1|1","input_tokens":3,"output_tokens":4,"cached_tokens":1,"duration_us":60000,"charged_micro":1000,"usage":"counted","outcome":"client_gone","balance_micro":9999000}`,
		`{"seq":6,"at":"2026-11-20T10:00:01Z","kind":"void","account":"acme","key_id":"` + key.ID + `","model":"tiny","hold":"1|3","input_tokens":0,"output_tokens":0,"cached_tokens":0,"duration_us":0,"charged_micro":0,"usage":"reported","outcome":"upstream_failed","balance_micro":9999000}`,
		`{"seq":7,"at":"2026-11-20T10:00:01Z","kind":"adjust","account":"acme","reference":"correction","amount_micro":-1000000,"balance_micro":8999000}`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("entries:\n%s\nwant:\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	var settled []ledger.Settled
	err = l.SettledSince(t.Context(), clock.now(), func(s ledger.Settled) error { settled = append(settled, s); return nil })
	if err != nil || len(settled) != 2 || settled[0].OutputTokens != 4 || settled[0].Model != "tiny" || settled[1].KeyID != key.ID {
		t.Errorf("settled: %+v, %v", settled, err)
	}
	accounts, next, err := l.ListAccounts("", 10)
	if err != nil || next != "" || len(accounts) != 1 || accounts[0].Available != 8_999_000 {
		t.Errorf("accounts: %+v, %q, %v", accounts, next, err)
	}
}
