package ledger

import (
	"errors"
	"fmt"
)

// ErrConflict is what every *ConflictError wraps.
var ErrConflict = errors.New("version conflict")

// ErrNotFound says that no key or account has this id.
var ErrNotFound = errors.New("not found")

// ErrExists says that an account with this id or a key with this secret exists already.
var ErrExists = errors.New("exists already")

// ErrNameTaken says that another key of the owner that is not revoked has this name.
var ErrNameTaken = errors.New("name is taken")

// ErrIdempotencyReused says that an idempotency key was used before with another
// request.
var ErrIdempotencyReused = errors.New("idempotency key was used with another request")

// ErrPaused says that a key is paused: no call runs with it until it is resumed.
var ErrPaused = errors.New("key is paused")

// ErrFrozen says that an account is frozen: none of its keys runs a call.
var ErrFrozen = errors.New("account is frozen")

// ErrOverlaps says that a key has as many old texts that are still valid as it can
// have, so that a rotation would have to end one before its time.
var ErrOverlaps = errors.New("too many old texts of the key are still valid")

// ErrRevoked says that a key was revoked and cannot be changed any more.
var ErrRevoked = errors.New("key is revoked")

// ErrInvalid is wrapped by *InvalidError.
var ErrInvalid = errors.New("invalid value")

// ErrCorrupt is what errors about an inconsistent log wrap. The message names the first
// bad entry.
var ErrCorrupt = errors.New("ledger is corrupt")

// ErrUnknownHold says that no hold ever had this id.
var ErrUnknownHold = errors.New("unknown hold")

// ConflictError says that a key changed since the caller read it.
type ConflictError struct {
	Current int64 // the key's version now
}

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("version conflict: the current version is %d", e.Current)
}

// Unwrap makes errors.Is(err, ErrConflict) work.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// InvalidError names a field whose value is not accepted.
type InvalidError struct {
	Field  string // its JSON name, for example limits.rpm
	Reason string // reads on after the field's name: "must not be negative"
}

// Error implements error.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

// Unwrap makes errors.Is(err, ErrInvalid) work.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// unavailable adds ErrUnavailable to the reason why nothing is admitted.
func unavailable(reason error) error { return fmt.Errorf("%w: %w", ErrUnavailable, reason) }

// corrupt returns an error that names an inconsistent entry and wraps ErrCorrupt.
func corrupt(sequence int64, format string, arguments ...any) error {
	return fmt.Errorf("%w: entry %d: %s", ErrCorrupt, sequence, fmt.Sprintf(format, arguments...))
}
