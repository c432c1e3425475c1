package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// problem is a call that can not be answered as asked. It is an error, so that
// handlers return it, and becomes the reply in the shape of the route's dialect.
type problem struct {
	status  int
	code    string // for programs, stable
	message string // for people; names field and value, never a secret
	param   string // the field that is wrong, dotted, for example limits.rpm
	// version is the current version of the key in a version conflict.
	version int64
	// allow lists the methods of the path where the method is wrong.
	allow string
	// retryAfter is how long a throttled caller waits.
	retryAfter time.Duration
	cause      error // for the log only
}

// Error implements error.
func (p *problem) Error() string { return p.message }

// Unwrap returns what went wrong below.
func (p *problem) Unwrap() error { return p.cause }

// invalid is the 400 for a field that can not be accepted.
func invalid(param, format string, values ...any) *problem {
	return &problem{
		status: http.StatusBadRequest, code: "invalid_value", param: param,
		message: param + ": " + fmt.Sprintf(format, values...),
	}
}

// clip shortens what a caller sent before it goes into a reply or a log, far
// enough that a key which was put into the wrong place does not come back.
func clip(text string) string {
	const most, part = 32, 12
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:part], "") + "..."
}

// shown quotes what a caller sent, clipped.
func shown[T string | json.RawMessage](text T) string { return strconv.Quote(clip(string(text))) }

func notFound(kind, id string) *problem {
	return &problem{
		status: http.StatusNotFound, code: kind + "_not_found",
		message: fmt.Sprintf("no %s %s", kind, shown(id)),
	}
}

func forbidden(code, message string) *problem {
	return &problem{status: http.StatusForbidden, code: code, message: message}
}

// unauthorized is the one answer to every credential that does not hold, so
// that unknown, malformed, expired and revoked keys look the same.
func unauthorized() *problem {
	return &problem{status: http.StatusUnauthorized, code: "invalid_api_key", message: "unauthorized: no valid API key"}
}

// kind is the type of the problem in native replies.
func (p *problem) kind() string {
	switch p.status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusConflict, http.StatusUnprocessableEntity:
		return "conflict_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	}
	if p.status >= http.StatusInternalServerError {
		return "api_error"
	}
	return "invalid_request_error"
}

// fieldOf returns the ledger's name of a field as it is on the wire. The names of
// metadata are the caller's own text.
func fieldOf(wrong *ledger.InvalidError) string {
	if name, ok := strings.CutPrefix(wrong.Field, "metadata."); ok {
		return "metadata." + clip(name)
	}
	if wrong.Field == "idempotency_key" {
		return "Idempotency-Key"
	}
	return wrong.Field
}

// problemOf turns any error of a handler into a problem. What is not known here
// is a fault of ours: its text stays in the log.
func problemOf(err error) *problem {
	var p *problem
	var wrong *ledger.InvalidError
	var conflict *ledger.ConflictError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &wrong):
		return invalid(fieldOf(wrong), "%s", wrong.Reason)
	case errors.As(err, &conflict):
		return &problem{
			status: http.StatusConflict, code: "version_conflict", param: "version", version: conflict.Current,
			message: fmt.Sprintf("the key was changed since it was read: its version is %d now", conflict.Current),
		}
	case errors.Is(err, ledger.ErrNotFound):
		return &problem{status: http.StatusNotFound, code: "not_found", message: "not found", cause: err}
	case errors.Is(err, ledger.ErrExists):
		return &problem{status: http.StatusConflict, code: "exists", message: "there is one with this id already", cause: err}
	case errors.Is(err, ledger.ErrRevoked):
		return &problem{status: http.StatusConflict, code: "key_revoked", message: "a revoked key can not be changed"}
	case errors.Is(err, ledger.ErrIdempotencyReused):
		return &problem{status: http.StatusUnprocessableEntity, code: "idempotency_key_reused", param: "Idempotency-Key", message: err.Error()}
	case errors.Is(err, ledger.ErrUnavailable):
		return &problem{
			status: http.StatusServiceUnavailable, code: "ledger_unavailable",
			message: "the ledger takes no writes now", cause: err,
		}
	}
	return &problem{
		status: http.StatusInternalServerError, code: "internal_error",
		message: "internal error", cause: err,
	}
}
