package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/dialect"
	"github.com/penstockhq/penstock/middleware/translate"
)

// retryWhenUnavailable is the Retry-After while nothing can be admitted: long enough
// not to hammer the gate, short enough not to waste time.
const retryWhenUnavailable = 2 * time.Second

// RetryWhenHeld is the Retry-After when the holds of other calls use up the credit.
// When those calls end is unknown.
const RetryWhenHeld = time.Second

func refuseKey() *dialect.Refusal {
	return &dialect.Refusal{Reason: dialect.Unauthenticated, Message: "the API key is missing or not valid", Final: true}
}

func refuseUnavailable() *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.Overloaded, Code: "ledger_unavailable", RetryAfter: retryWhenUnavailable,
		Message: "no call can be admitted at the moment",
	}
}

func refuseForbidden(message string) *dialect.Refusal {
	return &dialect.Refusal{Reason: dialect.Forbidden, Message: message, Final: true}
}

func refusePaused() *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.Forbidden, Code: "key_paused", Final: true,
		Message: "this key is paused; whoever manages it can resume it",
	}
}

func refuseFrozen() *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.Forbidden, Code: "account_frozen", Final: true,
		Message: "the account of this key is frozen; whoever manages it can unfreeze it",
	}
}

// refusePath refuses a path that is not served here. To callers who left out a part of
// it, it says which; else what serves it, as only those who have a key read this.
func refusePath(escaped string) *dialect.Refusal {
	refusal := &dialect.Refusal{
		Reason: dialect.NotFound, Code: "unknown_path", Final: true, Message: "this path is not served here",
	}
	if meant := dialect.Meant(escaped); meant != "" {
		refusal.Message += "; did you mean " + meant + "? Check the base address of your client"
	} else {
		refusal.Message += ", because nothing meters it (fixed_cost and allow_unmetered in a Caddyfile, " +
			"WithMetered and WithPathPrefix in Go)"
	}
	return refusal
}

// refuseMethod refuses a method that a path does not take.
func refuseMethod(allowed []string) *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.BadRequest, Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Final: true,
		Message: "this path takes only " + strings.Join(allowed, ", "), Allow: allowed,
	}
}

func refuseBody(err error) *dialect.Refusal {
	refusal := &dialect.Refusal{Reason: dialect.BadRequest, Message: err.Error(), Final: true}
	var mistake *dialect.RequestError
	if errors.As(err, &mistake) {
		refusal.Param = mistake.Param
	}
	return refusal
}

func refuseUnknownModel(name string) *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.NotFound, Code: "model_not_found", Param: "model", Final: true,
		Message: fmt.Sprintf("the model %q does not exist", name),
	}
}

func refuseModel(name string) *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.Forbidden, Code: "model_not_allowed", Param: "model", Final: true,
		Message: fmt.Sprintf("this key may not use the model %q", name),
	}
}

func refuseLarge(limit int64) *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.TooLarge, Final: true,
		Message: fmt.Sprintf("the body is larger than %d bytes", limit),
	}
}

func refuseEncoding() *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.BadRequest, Status: http.StatusUnsupportedMediaType, Code: "unsupported_encoding", Final: true,
		Message: "the body's Content-Encoding must be gzip or none",
	}
}

// ruleWords says what a rule counts, for people.
var ruleWords = map[limits.Rule]string{
	limits.RPM:         "requests per minute",
	limits.TPM:         "tokens per minute",
	limits.RPD:         "requests per day",
	limits.TPD:         "tokens per day",
	limits.MaxInFlight: "calls at the same time",
}

// refuseLimit turns a limiter's refusal into an answer.
func refuseLimit(refused limiter.Refusal) *dialect.Refusal {
	bound := &dialect.Bound{
		Rule: refused.Rule.String(), Scope: "key", Model: refused.Model,
		Limit: refused.Limit, Used: refused.Used, Needed: refused.Needed,
	}
	where := "this key"
	if refused.Model != "" {
		bound.Scope, where = "model", "this key and the model "+refused.Model
	}
	counted := ruleWords[refused.Rule]
	if refused.Rule == limits.TPM || refused.Rule == limits.TPD {
		bound.TokenType = refused.TokenType.String()
		if refused.TokenType != limits.Total {
			counted = bound.TokenType + " " + counted
		}
	}
	reason, never := dialect.Limited, dialect.OverLimit
	if refused.Rule == limits.RPD || refused.Rule == limits.TPD {
		reason, never = dialect.LimitedForDay, dialect.OverDayLimit
	}
	if refused.Never {
		return &dialect.Refusal{
			Reason: never, Final: true, Bound: bound,
			Message: fmt.Sprintf("the call needs %d and the limit is %d %s for %s: waiting does not help; shorten the call or lower its max_tokens",
				refused.Needed, refused.Limit, counted, where),
		}
	}
	return &dialect.Refusal{
		Reason: reason, RetryAfter: refused.RetryAfter, Bound: bound,
		Message: fmt.Sprintf("Rate limit exceeded: %d %s for %s; try again in %s",
			refused.Limit, counted, where, refused.RetryAfter.Round(time.Millisecond)),
	}
}

// refuseHold turns the ledger's answer to a hold into one to the caller.
func refuseHold(err error) *dialect.Refusal {
	var credit *ledger.CreditError
	if !errors.As(err, &credit) {
		if errors.Is(err, ledger.ErrUnknownKey) {
			return refuseKey() // revoked since it was authenticated
		}
		if errors.Is(err, ledger.ErrPaused) {
			return refusePaused()
		}
		if errors.Is(err, ledger.ErrFrozen) {
			return refuseFrozen()
		}
		var invalid *ledger.InvalidError
		if errors.As(err, &invalid) { // of what the caller chose: the name of a model
			return &dialect.Refusal{Reason: dialect.BadRequest, Message: err.Error(), Param: invalid.Field, Final: true}
		}
		return refuseUnavailable()
	}
	bound := &dialect.Bound{
		Rule: "balance", Scope: "account", Unit: dialect.MicroCredits, Limit: int64(credit.Limit),
		Used: int64(credit.Spent + credit.Held), Needed: int64(credit.Needed), Held: new(int64(credit.Held)),
	}
	whose := "the account's balance"
	if credit.Budget {
		bound.Rule, bound.Scope, whose = "budget", "key", "the key's budget"
		bound.Spent = new(int64(credit.Spent))
	}
	message := fmt.Sprintf("%s does not cover the call: it holds %s credits while it runs, %s are available",
		whose, credit.Needed, credit.Available)
	message = strings.ToUpper(message[:1]) + message[1:]
	if credit.Never {
		return &dialect.Refusal{Reason: dialect.NoCredit, Message: message, Bound: bound, Final: true}
	}
	return &dialect.Refusal{
		Reason: dialect.Limited, Code: "credit_held", RetryAfter: RetryWhenHeld, Bound: bound,
		Message: message + " until running calls end",
	}
}

// foreign says that an upstream did not find a path because its kind has none like it.
func (x *exchange) foreign(status int, kind string) bool {
	return (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) &&
		!x.request.toChat() && x.request.custom == nil && translate.Foreign(kind, x.request.call.Route.Spec)
}

// refuseForeign says which path works in place of one that upstreams of a kind lack.
func refuseForeign(kind string, operation *dialect.Spec) *dialect.Refusal {
	return &dialect.Refusal{
		Reason: dialect.NotFound, Code: "path_not_served", Final: true,
		Message: fmt.Sprintf("the model runs on a server of the kind %s, which has no %s; %s works with every kind",
			kind, operation.Paths[0], chatPath),
	}
}
