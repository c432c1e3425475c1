package middleware

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
)

const (
	// DefaultMaxBody bounds a request's body in bytes if WithMaxBody does not.
	DefaultMaxBody = 10 << 20
	// DefaultHoldTimeout is how long a call may run if WithHoldTimeout does not say.
	DefaultHoldTimeout = 2 * time.Minute
	// DefaultMaxOutputTokens caps the output of a call whose caller and whose model
	// set no cap.
	DefaultMaxOutputTokens = 512
)

// Model is a model that callers may name.
type Model struct {
	Name         string // as callers name it, and as it stands in limits and entries
	UpstreamName string // as the upstreams name it; empty: the same
	Description  string // for the list of models
	// MaxOutputTokens caps one answer: it is written into calls that set no cap,
	// and a call that asks for more is refused. 0: DefaultMaxOutputTokens is
	// written, and a call may ask for more.
	MaxOutputTokens int64
	// ContinuousUsage says that its upstreams report running totals on every chunk
	// of a stream when asked to (vLLM, SGLang). A stream that is cut is then
	// charged to the token.
	ContinuousUsage bool
}

// Catalog knows the models. Implementations are safe for concurrent use and do
// not wait.
type Catalog interface {
	// Model returns the model with this name.
	Model(name string) (Model, bool)
	// Models returns all models in the order in which they are listed.
	Models() []Model
}

// catalog is a fixed Catalog.
type catalog struct {
	list   []Model
	byName map[string]int
}

func newCatalog(models []Model) *catalog {
	c := &catalog{list: models, byName: make(map[string]int, len(models))}
	for i, model := range models {
		c.byName[model.Name] = i
	}
	return c
}

func (c *catalog) Model(name string) (Model, bool) {
	at, ok := c.byName[name]
	if !ok {
		return Model{}, false
	}
	return c.list[at], true
}

func (c *catalog) Models() []Model { return c.list }

// OnRevoke says what happens to the streams of a key that is revoked.
type OnRevoke uint8

const (
	// RevokeFinish lets running streams finish. It is the default.
	RevokeFinish OnRevoke = iota
	// RevokeAbort cuts them within a few seconds.
	RevokeAbort
)

// Option changes the gate.
type Option func(*Gate)

// WithModels names the models. Without them any model name passes.
func WithModels(models ...Model) Option {
	return func(g *Gate) {
		if len(models) > 0 {
			g.catalog = newCatalog(models)
		}
	}
}

// WithCatalog names the models through something that may change while the gate
// runs.
func WithCatalog(models Catalog) Option { return func(g *Gate) { g.catalog = models } }

// WithMaxBody bounds a request's body in bytes, as sent and as unpacked.
func WithMaxBody(bytes int64) Option { return func(g *Gate) { g.maxBody = bytes } }

// WithHoldTimeout bounds how long a call may run. The credit hold covers this time.
func WithHoldTimeout(limit time.Duration) Option { return func(g *Gate) { g.holdTimeout = limit } }

// WithInjectMaxTokens says whether a call that caps its output in no way gets
// its model's cap written into it. It is on by default; off, an upstream may
// produce more than the call has reserved.
func WithInjectMaxTokens(inject bool) Option { return func(g *Gate) { g.injectCap = inject } }

// WithAllowUnmetered lets paths pass that the gate cannot meter. They need a
// key and cost nothing. A path that ends in * allows everything that begins so.
func WithAllowUnmetered(paths ...string) Option {
	return func(g *Gate) { g.unmetered = append(g.unmetered, paths...) }
}

// WithFixedCost lets a path pass that the gate cannot meter, for a fixed amount
// of each call that is answered with success.
func WithFixedCost(path string, amount ledger.Micro) Option {
	return func(g *Gate) { g.custom[path] = customPath{fixed: amount} }
}

// WithMetered lets a path pass whose handler reports its usage by ReportUsage.
// worst is the upper bound that is held and reserved for each call; its Duration
// is the hold timeout.
func WithMetered(path string, worst ledger.Quantity) Option {
	return func(g *Gate) { g.custom[path] = customPath{worst: worst} }
}

// WithDialect fixes the shape of the gate's errors, whatever the path.
func WithDialect(kind dialect.Kind) Option { return func(g *Gate) { g.kind = &kind } }

// WithErrorsPassthrough hands refusals that come before the upstream to respond
// instead of writing them. The headers that belong to the refusal are set
// already; respond sends status and body.
func WithErrorsPassthrough(respond func(http.ResponseWriter, *http.Request, Refused)) Option {
	return func(g *Gate) { g.respond = respond }
}

// WithStrictEstimate reserves a true upper bound of prompt tokens, one for each
// byte, instead of one for four bytes.
func WithStrictEstimate() Option { return func(g *Gate) { g.strict = true } }

// WithLogger sets where the gate logs. The default is to log nothing.
func WithLogger(logger *slog.Logger) Option { return func(g *Gate) { g.logger = logger } }

// WithClock sets the clock. It must carry a monotonic reading to measure time.
func WithClock(now func() time.Time) Option { return func(g *Gate) { g.now = now } }

// WithObserver sets who is told of each call when it is over.
func WithObserver(observer Observer) Option { return func(g *Gate) { g.observer = observer } }

// WithOnRevoke says what happens to the streams of a key that is revoked. It
// needs a ledger that is a KeyLookup.
func WithOnRevoke(what OnRevoke) Option { return func(g *Gate) { g.onRevoke = what } }

// WithClientAddress says where a request's client address comes from, for keys
// that are bound to networks. The default is the connection's remote address.
func WithClientAddress(address func(*http.Request) netip.Addr) Option {
	return func(g *Gate) { g.clientAddress = address }
}

// customPath is a path that the operator named.
type customPath struct {
	fixed ledger.Micro
	worst ledger.Quantity
}

// unmeteredPath says whether a path may pass without a meter. What an upstream
// could read as another path, because it steps up or holds empty segments, is
// matched by no prefix.
func (g *Gate) unmeteredPath(escaped string) bool {
	plain, err := url.PathUnescape(escaped)
	straight := err == nil && path.Clean("/"+plain) == strings.TrimSuffix(plain, "/") && !strings.Contains(plain, "\\")
	for _, allowed := range g.unmetered {
		if prefix, ok := strings.CutSuffix(allowed, "*"); ok && straight && strings.HasPrefix(escaped, prefix) || allowed == escaped {
			return true
		}
	}
	return false
}
