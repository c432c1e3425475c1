package middleware

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect"
	"github.com/penstockhq/penstock/middleware/forecast"
	"github.com/penstockhq/penstock/middleware/internal/requestid"
	"github.com/penstockhq/penstock/middleware/translate"
)

// Gate decides which calls reach a handler that serves models, and meters them. It
// is safe for concurrent use.
type Gate struct {
	ledger  Ledger
	limiter Limiter

	catalog       Catalog // nil: any model name passes
	maxBody       int64
	holdTimeout   time.Duration
	injectCap     bool
	lacks         func(model string) translate.APIs
	prefix        string // of the gate's paths
	unmetered     []string
	custom        map[string]*customPath
	dialect       *dialect.Name
	origins       origins
	respond       func(http.ResponseWriter, *http.Request, Refused)
	refused       func(*http.Request, Refused)
	strict        bool
	reader        dialect.Reader
	logger        *slog.Logger
	now           func() time.Time
	observer      Observer
	onRevoke      OnRevoke
	replyHeaders  [len(aboutSender)]bool // those of upstreams that pass
	clientAddress func(*http.Request) netip.Addr
	runs          *Runs
	watchEvery    time.Duration
	forecast      *forecast.Forecast
	cuts          seldom // logging of tokens that are not believed
	writeOffs     seldom // logging of credit that is written off
	settling      deadlines
	bodies        bodyPool
}

// New returns a middleware: it wraps a handler so that only calls with a key,
// within their limits and covered by credit reach it, and charges what they
// consumed. It is NewGate and SetPrices in one; a price that cannot be set is
// logged, and its path refused. It panics without a ledger or a limiter.
func New(accounts Ledger, counters Limiter, options ...Option) func(http.Handler) http.Handler {
	g := NewGate(accounts, counters, options...)
	if err := g.SetPrices(context.Background()); err != nil {
		g.logger.Error("fixed cost not set: the path is refused", "error", err)
	}
	return g.Wrap
}

// NewGate returns a gate. It writes nothing: paths with a fixed cost are refused
// until SetPrices has set their prices in the ledger. It panics without a ledger or a
// limiter.
func NewGate(accounts Ledger, counters Limiter, options ...Option) *Gate {
	switch {
	case accounts == nil:
		panic("middleware: the ledger is nil")
	case counters == nil:
		panic("middleware: the limiter is nil")
	}
	g := &Gate{
		ledger: accounts, limiter: counters,
		maxBody: DefaultMaxBody, holdTimeout: DefaultHoldTimeout, injectCap: true,
		custom: map[string]*customPath{}, logger: slog.New(slog.DiscardHandler),
		now: time.Now, clientAddress: RemoteAddress,
		watchEvery: defaultWatchEvery,
	}
	for _, option := range options {
		option(g)
	}
	if g.runs == nil {
		g.runs = NewRuns(DefaultMaxRuns)
	}
	if g.forecast == nil {
		g.forecast = forecast.New()
	}
	return g
}

// Wrap puts the gate in front of next.
func (g *Gate) Wrap(next http.Handler) http.Handler {
	if next == nil {
		panic("middleware: the next handler is nil")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.Serve(w, r, next) })
}

// Serve takes one request through the gate. Use it instead of Wrap where the next
// handler differs from request to request.
func (g *Gate) Serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if g.origins != nil {
		shared, answered := g.origins.admit(w, r)
		if answered {
			return
		}
		w = shared
	}
	x := &exchange{gate: g, arrived: g.now()}
	x.request.id, x.request.client, x.request.body.pool = requestid.New(), requestid.Client(r.Header), &g.bodies
	x.headers = headers{
		dialect: g.dialectOf(r), now: g.now, room: &x.admission.headroom, id: [1]string{x.request.id},
		pass: &g.replyHeaders,
	}
	x.headers.senders.note(w.Header())
	x.headers.own(w.Header())
	if x.serve(w, r, next); !x.later {
		x.request.body.drop()
	}
}

// serve takes a request through all steps. A step that refuses ends it.
func (x *exchange) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if refusal := x.enter(r); refusal != nil {
		x.refuse(w, r, refusal)
		return
	}
	spec := x.request.call.Route.Spec
	if spec == nil {
		x.passOn(w, r, next)
		return
	}
	switch spec.Handling {
	case dialect.ListModels, dialect.DescribeModel, dialect.TellVersion:
		x.discover(w, r, next)
	case dialect.CountTokens:
		x.countTokens(w, r, next)
	case dialect.PollRun:
		x.poll(w, r)
	case dialect.StartRun:
		x.start(w, r, next)
	default:
		x.serveCall(w, r, next)
	}
}

// enter finds out whose key the request carries and what its path means, and whether the
// key may be used for it.
func (x *exchange) enter(r *http.Request) *dialect.Refusal {
	if refusal := x.authenticate(r); refusal != nil {
		return refusal
	}
	if refusal := x.request.locate(x.gate, r); refusal != nil {
		return refusal
	}
	spec := x.request.call.Route.Spec
	if spec == nil {
		return x.caller.mayPass(dialect.PermissionRAG)
	}
	return x.caller.may(spec.Permission)
}

// serveCall reads, admits and runs a call.
func (x *exchange) serveCall(w http.ResponseWriter, r *http.Request, next http.Handler) {
	refusal := x.request.read(x.gate, &x.caller, w, r)
	if refusal == nil {
		refusal = x.admit(r.Context())
	}
	if refusal != nil {
		x.refuse(w, r, refusal)
		return
	}
	x.run(w, r, next)
}

// admit asks for limits and credit, and then makes the upstream's body.
func (x *exchange) admit(ctx context.Context) *dialect.Refusal {
	if refusal := x.admission.admit(ctx, x.gate, &x.caller, &x.request); refusal != nil {
		return refusal
	}
	x.request.prepare(x.admission.cap, x.gate.injectCap)
	return nil
}
