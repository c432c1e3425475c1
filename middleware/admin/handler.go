package admin

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// Handler serves the administrative routes. It is safe for concurrent use.
type Handler struct {
	settings
	ledger   Ledger
	limiter  Limiter
	routes   []route
	document []byte // OpenAPI
}

// call is one administrative request on its way to a reply.
type call struct {
	handler    *Handler
	writer     http.ResponseWriter
	request    *http.Request
	dialect    dialect
	id         string   // of the request
	parameters []string // from the path, unescaped
	caller     ledger.Key
}

// New returns the administration of a ledger's keys and accounts, which shows
// what a limiter counts of their limits.
func New(keys Ledger, limits Limiter, options ...Option) *Handler {
	h := &Handler{
		settings: settings{
			logger: slog.New(slog.DiscardHandler), now: time.Now, clientAddress: remoteAddress,
			revoked: func(string) {}, throttle: NewThrottle(), names: NewNames(), zone: time.UTC,
		},
		ledger:  keys,
		limiter: limits,
	}
	for _, option := range options {
		option(&h.settings)
	}
	h.routes = h.table()
	h.document = h.describe()
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{handler: h, writer: w, request: r, dialect: dialectOf("/" + strings.TrimLeft(r.URL.Path, "/")), id: rand.Text()}
	w.Header().Set("X-Request-Id", c.id)
	if err := h.serve(c); err != nil {
		c.refuse(problemOf(err))
	}
}

func (h *Handler) serve(c *call) error {
	route, parameters, missing := h.find(c.request)
	if missing != nil {
		return missing
	}
	c.dialect, c.parameters = route.dialect(), parameters
	if err := h.identify(c, route.access); err != nil {
		return err
	}
	return route.handle(h, c)
}

func (c *call) context() context.Context { return c.request.Context() }
