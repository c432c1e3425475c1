package admin

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/rules"
	"github.com/penstockhq/penstock/middleware/forecast"
)

// Throttle slows the attempts of addresses that keep failing to authenticate; a valid key
// is never slowed. Handlers that share one, or replace each other, count together. It is
// safe for concurrent use.
type Throttle = rest.Throttle

// NewThrottle returns a throttle that has seen no failure.
func NewThrottle() *Throttle { return rest.NewThrottle() }

// Option changes a Handler.
type Option func(*settings)

// settings are what options set.
type settings struct {
	logger        *slog.Logger
	now           func() time.Time
	clientAddress func(*http.Request) netip.Addr
	throttle      *Throttle
	zone          *time.Location
	revoked       func(keyID string)
	rules         rules.Set
	rootKey       *[32]byte // nil: none
	alerts        Alerts    // nil: none
	admission     Admission
}

// Admission is what decides how much credit the gate holds for a call, so that an
// explanation says the same.
type Admission struct {
	// Forecast is that of the gate. Nil knows nothing.
	Forecast *forecast.Forecast
	// TimeLimit is how long a call may run. 0 is middleware.DefaultHoldTimeout.
	TimeLimit time.Duration
	// StrictEstimate says that the gate takes a token for each byte of a prompt.
	StrictEstimate bool
	// WholeCap says that a call whose caller names no cap needs room for all of the
	// default: the gate does not write a smaller one into the call.
	WholeCap bool
}

// WithAdmission says what decides how much credit the gate holds for a call.
func WithAdmission(admission Admission) Option {
	return func(s *settings) { s.admission = admission }
}

// Model is what the administration knows of a model.
type Model struct {
	ID   string // what callers send as the model's name
	Name string // for people; empty: ID
	// Path is a second name such as acme/tiny/acme, which the aiXplain SDK uses.
	Path            string
	Description     string
	MaxOutputTokens int64
}

// WithLogger sets the log of administrative writes and failures. It is silent by
// default.
func WithLogger(logger *slog.Logger) Option {
	return func(s *settings) { s.logger = logger }
}

// WithClock sets the wall clock.
func WithClock(now func() time.Time) Option {
	return func(s *settings) { s.now = now }
}

// WithClientAddress sets how the address of a client is found. Failed attempts to
// authenticate are counted per address, and keys can be bound to networks. The default
// is the peer of the connection; behind a trusted proxy use what that proxy reports.
func WithClientAddress(address func(*http.Request) netip.Addr) Option {
	return func(s *settings) { s.clientAddress = address }
}

// WithThrottle sets the throttle of failed attempts to authenticate, so that it
// can outlive the handler. The default is one of the handler's own.
func WithThrottle(throttle *Throttle) Option {
	return func(s *settings) { s.throttle = throttle }
}

// WithZone sets the zone whose midnights end the days of limits, as the limiter
// and the ledger have it. The default is UTC.
func WithZone(zone *time.Location) Option {
	return func(s *settings) { s.zone = zone }
}

// WithRevoked sets a function that is called after the revocation of a key is
// durable, for example to end its running streams. It must not block.
func WithRevoked(revoked func(keyID string)) Option {
	return func(s *settings) { s.revoked = revoked }
}

// WithDefaultLimits sets the limits of new member keys for each limit that is
// not named when the key is made. Model is ignored.
func WithDefaultLimits(row limits.Row) Option {
	return func(s *settings) { s.rules.Defaults = row }
}

// WithBounds sets what the limits of a whole key may be set to. A limit with an upper
// end cannot be switched off: 0 is refused, or raised to the upper end on the routes
// whose clients send 0 for a limit that they leave out.
func WithBounds(bounds limits.Bounds) Option {
	return func(s *settings) { s.rules.Bounds = bounds }
}

// WithModels sets the models that keys can be bound to and limited by. Without
// them every model name is accepted.
func WithModels(models ...Model) Option {
	return func(s *settings) {
		s.rules.Models = make([]rules.Model, len(models))
		for i, model := range models {
			s.rules.Models[i] = rules.Model(model)
		}
	}
}

// WithAdminKeySHA256 accepts a key with this SHA-256 as an admin key for all
// owners, so that a configuration can name its administrator without a secret.
func WithAdminKeySHA256(sum [32]byte) Option {
	return func(s *settings) { s.rootKey = &sum }
}
