package middleware_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
)

func TestRowsOfEachTokenTypeKeepTheirOwnPreviousLimits(t *testing.T) {
	changed := time.Unix(1_700_000_000, 0)
	key := ledger.Key{
		Limits:          []ledger.Limits{{Model: "m", TokenType: "input", TPM: 10}, {Model: "m", TokenType: "output", TPM: 20}},
		PreviousLimits:  []ledger.Limits{{Model: "m", TokenType: "output", TPM: 2}, {Model: "m", TPM: 3}, {Model: "other", TPM: 4}},
		LimitsChangedAt: changed,
	}
	want := []limiter.Row{
		{Model: "m", Limits: limiter.Limits{TPM: 10, TokenType: limiter.TokensInput}, Previous: &limiter.Limits{}, ChangedAt: changed},
		{
			Model: "m", Limits: limiter.Limits{TPM: 20, TokenType: limiter.TokensOutput},
			Previous: &limiter.Limits{TPM: 2, TokenType: limiter.TokensOutput}, ChangedAt: changed,
		},
		{Model: "m", Previous: &limiter.Limits{TPM: 3}, ChangedAt: changed},
	}
	if got := middleware.LimitRows(&key, "m"); !reflect.DeepEqual(got, want) {
		t.Errorf("rows %+v\nwant %+v", got, want)
	}
}
