package rest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

func TestErrorsOfTheLedgerBecomeProblems(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		param  string
	}{
		{&ledger.InvalidError{Field: "limits.rpm", Reason: "is negative"}, 400, "invalid_value", "limits.rpm"},
		{&ledger.InvalidError{Field: "idempotency_key", Reason: "is too long"}, 400, "invalid_value", "Idempotency-Key"},
		{&ledger.InvalidError{Field: "metadata." + strings.Repeat("k", 40), Reason: "x"}, 400, "invalid_value", "metadata.kkkkkkkkkkkk..."},
		{&ledger.ConflictError{Current: 7}, 409, "version_conflict", "version"},
		{ledger.ErrNotFound, 404, "not_found", ""},
		{ledger.ErrExists, 409, "exists", ""},
		{ledger.ErrNameTaken, 422, "name_taken", "name"},
		{ledger.ErrRevoked, 409, "key_revoked", ""},
		{ledger.ErrIdempotencyReused, 422, "idempotency_key_reused", "Idempotency-Key"},
		{ledger.ErrUnavailable, 503, "ledger_unavailable", ""},
		{errors.New("anything else"), 500, "internal_error", ""},
		{NotFound("key", "k"), 404, "key_not_found", ""},
	} {
		p := problemOf(fmt.Errorf("wrapped: %w", c.err))
		if p.Status != c.status || p.Code != c.code || p.Param != c.param {
			t.Errorf("%v became %d %s %q", c.err, p.Status, p.Code, p.Param)
		}
	}
	if p := problemOf(&ledger.ConflictError{Current: 7}); p.Version != 7 {
		t.Errorf("the current version is %d", p.Version)
	}
}

func TestAWaitIsRoundedUp(t *testing.T) {
	for wait, want := range map[time.Duration]int64{0: 0, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2} {
		if got := (&Problem{RetryAfter: wait}).RetryAfterMS(); got != want {
			t.Errorf("%s is %d ms, want %d", wait, got, want)
		}
	}
}
