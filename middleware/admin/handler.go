package admin

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/admin/aixplain"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/forecast"
)

// Handler serves the administrative routes. It is safe for concurrent use.
type Handler struct {
	settings
	ledger  Ledger
	limiter Limiter
	server  *rest.Server
}

// New returns the administration of a ledger's keys and accounts. The limiter shows what
// is counted against their limits.
func New(accounts Ledger, counters Limiter, options ...Option) *Handler {
	h := &Handler{
		settings: settings{
			logger: slog.New(slog.DiscardHandler), now: time.Now, clientAddress: middleware.RemoteAddress,
			revoked: func(string) {}, throttle: NewThrottle(), zone: time.UTC,
		},
		ledger:  accounts,
		limiter: counters,
	}
	for _, option := range options {
		option(&h.settings)
	}
	if h.admission.Forecast == nil {
		h.admission.Forecast = forecast.New()
	}
	guard := rest.Guard{
		Keys: h.ledger, ClientAddress: h.clientAddress, Throttle: h.throttle, Now: h.now,
		AdminKeySHA256: h.rootKey,
	}
	native := rest.API{Prefixes: []string{"/admin"}, Routes: h.routes(), Tags: tags, Refuse: refuse, Refusal: nativeError{}}
	sdk := aixplain.API(aixplain.Config{
		Ledger: h.ledger, Limiter: h.limiter, Rules: &h.rules, Now: h.now, Revoked: h.revoked,
	})
	h.server = rest.NewServer(guard, h.logger, native, sdk)
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.server.ServeHTTP(w, r) }

// Matches reports whether a request is for a path that belongs to the handler: below
// /admin, /sdk or /v2/models. A server that mounts it among others passes other
// requests on.
func (h *Handler) Matches(r *http.Request) bool { return h.server.Matches(r) }

// openapi serves the document that describes all routes.
func (h *Handler) openapi(c *rest.Call) error {
	c.Writer.Header().Set("Content-Type", "application/json")
	// An error here means that the client has gone.
	_, _ = c.Writer.Write(h.server.Document())
	return nil
}
