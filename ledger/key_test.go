package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
)

func TestNetworksMatchTheAddressesThatCallersComeFrom(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3/8":          "[10.0.0.0/8]",
		"10.1.2.3":            "[10.1.2.3/32]",
		"::1":                 "[::1/128]",
		"::ffff:10.0.0.0/104": "[10.0.0.0/8]", // IPv4 in the form of IPv6
		"::ffff:10.1.2.3":     "[10.1.2.3/32]",
		"::ffff:10.0.0.0/90":  "refused",
		"10.0.0.0/40":         "refused",
		"nowhere":             "refused",
	} {
		networks, err := ledger.ParseCIDRs([]string{text})
		got := fmt.Sprint(networks)
		if invalid := (*ledger.InvalidError)(nil); errors.As(err, &invalid) && invalid.Field == "cidrs" {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", text, got, err, want)
		}
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
		"amount   ":          second2(l.Adjust(t.Context(), "default", ledger.Adjustment{Amount: -2 * ledger.Credit, Reason: "r", IdempotencyKey: "k"})),
		"idempotency_key":    second2(l.TopUp(t.Context(), "default", 1, "")),
		"price.minute":       l.SetPrice(t.Context(), "m", ledger.Price{Minute: -1}),
		"price.output":       l.SetPrice(t.Context(), "m", ledger.Price{Output: ledger.MaxMicro + 1}),
		"price.cached_input": l.SetPrice(t.Context(), "m", ledger.Price{Input: 1, CachedInput: 2}),
		"quantity":           second2(l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Worst: ledger.Quantity{InputTokens: -1}})),
		"model":              second2(l.Hold(t.Context(), ledger.HoldRequest{KeyID: key.ID, Model: strings.Repeat("m", 300)})),
		"id":                 second2(l.CreateAccount(t.Context(), ledger.NewAccount{})),
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
	if _, err := l.CreateAccount(t.Context(), ledger.NewAccount{ID: "default"}); !errors.Is(err, ledger.ErrExists) {
		t.Errorf("account twice: %v", err)
	}
	if _, err := l.TopUp(t.Context(), "nobody", 1, "k"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("top-up of nobody: %v", err)
	}
	if account, _ := l.Account("default"); account.Available != ledger.Credit {
		t.Errorf("account: %+v", account)
	}
}
