package limiter

import (
	"errors"

	"github.com/penstockhq/penstock/limits"
)

// ErrResolved means that a reservation was settled or canceled before, or that
// it lapsed: nothing was changed now.
var ErrResolved = errors.New("reservation already resolved")

// ErrForged means that a handle was not issued by this limiter, or was altered.
var ErrForged = errors.New("handle was not issued by this limiter")

// ErrClosed means that the limiter was closed and admits nothing more.
var ErrClosed = errors.New("limiter is closed")

// ErrFull means that the counters of a scope cannot take the call: about 10^12
// tokens or 10^9 requests in one minute, or 10^14 tokens in one day.
var ErrFull = errors.New("counters of the scope are full")

// ErrSnapshot is wrapped by every error of Import that is about what was read:
// a snapshot that is damaged, cut short, foreign or of another version.
var ErrSnapshot = errors.New("not a usable limiter snapshot")

// ErrInUse means that a snapshot was offered to a limiter that counts already.
var ErrInUse = errors.New("limiter is in use")

// ValueError says which value of an argument is out of range, for example of
// limits.tpm. It never names a key.
type ValueError = limits.ValueError
