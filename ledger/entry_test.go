package ledger_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

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
	if size := l.Size(); size.Entries < 3 || size.Accounts != 1 || size.Keys != 1 {
		t.Errorf("a ledger with an account, a key and a top-up holds %+v", size)
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
	if _, err := l.Adjust(t.Context(), "acme", ledger.Adjustment{Amount: -ledger.Credit, Reason: "paid twice", IdempotencyKey: "correction"}); err != nil {
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
		`{"seq":7,"at":"2026-11-20T10:00:01Z","kind":"adjust","account":"acme","reference":"correction","amount_micro":-1000000,"balance_micro":8999000,"reason":"paid twice"}`,
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
