package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
	"github.com/penstockhq/penstock/ledger"
)

// Problem is why a call cannot be answered as asked. It is an error that handlers
// return, and becomes the reply in the shape of the API.
type Problem struct {
	Status  int
	Code    string // for programs, stable
	Message string // for people; names field and value, never a secret
	Param   string // the field that is wrong, dotted, for example limits.rpm
	// Version is the current version of the key in a version conflict.
	Version int64
	// Allow lists the methods of the path where the method is wrong.
	Allow string
	// RetryAfter is how long a throttled caller waits.
	RetryAfter time.Duration
	Cause      error // for the log only
}

// Error implements error.
func (p *Problem) Error() string { return p.Message }

// Unwrap returns what went wrong below.
func (p *Problem) Unwrap() error { return p.Cause }

// RetryAfterMS is how long a throttled caller waits in whole milliseconds.
func (p *Problem) RetryAfterMS() int64 { return Milliseconds(p.RetryAfter) }

// Invalid is the 400 for a field that cannot be accepted.
func Invalid(param, format string, values ...any) *Problem {
	return &Problem{
		Status: http.StatusBadRequest, Code: "invalid_value", Param: param,
		Message: param + ": " + fmt.Sprintf(format, values...),
	}
}

// Shown quotes what a caller sent, clipped.
func Shown[T string | json.RawMessage](text T) string { return strconv.Quote(clip.Text(string(text))) }

// NotFound is the 404 for an id under which there is nothing that the caller may see.
func NotFound(kind, id string) *Problem {
	return &Problem{
		Status: http.StatusNotFound, Code: kind + "_not_found",
		Message: fmt.Sprintf("no %s %s", kind, Shown(id)),
	}
}

// Forbidden is the 403 for a caller that may not do this.
func Forbidden(code, message string) *Problem {
	return &Problem{Status: http.StatusForbidden, Code: code, Message: message}
}

// unauthorized is the answer to every invalid credential, so that unknown, malformed,
// expired and revoked keys look the same.
func unauthorized() *Problem {
	return &Problem{Status: http.StatusUnauthorized, Code: "invalid_api_key", Message: "unauthorized: no valid API key"}
}

// fieldOf returns the ledger's name of a field as it is on the wire. The names of
// metadata are the caller's own text.
func fieldOf(wrong *ledger.InvalidError) string {
	if name, ok := strings.CutPrefix(wrong.Field, "metadata."); ok {
		return "metadata." + clip.Text(name)
	}
	if wrong.Field == "idempotency_key" {
		return IdempotencyHeader
	}
	return wrong.Field
}

// problemOf turns any error of a handler into a problem. An error that is not known here
// is a fault of the server: its text stays in the log.
func problemOf(err error) *Problem {
	var p *Problem
	var wrong *ledger.InvalidError
	var conflict *ledger.ConflictError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &wrong):
		return Invalid(fieldOf(wrong), "%s", wrong.Reason)
	case errors.As(err, &conflict):
		return &Problem{
			Status: http.StatusConflict, Code: "version_conflict", Param: "version", Version: conflict.Current,
			Message: fmt.Sprintf("the key was changed since it was read: its version is %d now", conflict.Current),
		}
	case errors.Is(err, ledger.ErrNotFound):
		return &Problem{Status: http.StatusNotFound, Code: "not_found", Message: "not found", Cause: err}
	case errors.Is(err, ledger.ErrExists):
		return &Problem{Status: http.StatusConflict, Code: "exists", Message: "one with this id exists already", Cause: err}
	case errors.Is(err, ledger.ErrNameTaken):
		return &Problem{
			Status: http.StatusUnprocessableEntity, Code: "name_taken", Param: "name", Message: "a key with this name exists",
		}
	case errors.Is(err, ledger.ErrOverlaps):
		return &Problem{
			Status: http.StatusConflict, Code: "too_many_overlaps",
			Message: err.Error() + "; wait until one has ended, or end them all with end_previous",
		}
	case errors.Is(err, ledger.ErrRevoked):
		return &Problem{Status: http.StatusConflict, Code: "key_revoked", Message: "a revoked key cannot be changed"}
	case errors.Is(err, ledger.ErrIdempotencyReused):
		return &Problem{
			Status: http.StatusUnprocessableEntity, Code: "idempotency_key_reused", Param: IdempotencyHeader,
			Message: err.Error(),
		}
	case errors.Is(err, ledger.ErrUnavailable):
		return &Problem{
			Status: http.StatusServiceUnavailable, Code: "ledger_unavailable",
			Message: "the ledger cannot be written to now", Cause: err,
		}
	}
	return &Problem{
		Status: http.StatusInternalServerError, Code: "internal_error",
		Message: "internal error", Cause: err,
	}
}
