package middleware

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// Gate decides who gets through to a handler that serves models, and measures
// what they get. It is safe for concurrent use.
type Gate struct {
	ledger  Ledger
	limiter Limiter

	catalog       Catalog // nil: any model name passes
	maxBody       int64
	holdTimeout   time.Duration
	injectCap     bool
	unmetered     []string
	custom        map[string]customPath
	kind          *dialect.Kind
	respond       func(http.ResponseWriter, *http.Request, Refused)
	strict        bool
	logger        *slog.Logger
	now           func() time.Time
	observer      Observer
	onRevoke      OnRevoke
	clientAddress func(*http.Request) netip.Addr
	runs          *Runs
	watchEvery    time.Duration
	streamHold    time.Duration
	settling      deadlines
	bodies        bodyPool
}

// New returns a middleware: it wraps a handler so that only calls with a key,
// within their limits and covered by credit reach it, and charges what they
// consumed. It is NewGate and SetPrices in one; a price that cannot be set is
// logged, and its path refused.
func New(accounts Ledger, counters Limiter, options ...Option) func(http.Handler) http.Handler {
	g := NewGate(accounts, counters, options...)
	if err := g.SetPrices(context.Background()); err != nil {
		g.logger.Error("fixed cost not set: the path is refused", "error", err)
	}
	return g.Wrap
}

// NewGate returns a gate. It writes nothing: paths with a fixed cost are refused
// until SetPrices has told the ledger what they cost.
func NewGate(accounts Ledger, counters Limiter, options ...Option) *Gate {
	g := &Gate{
		ledger: accounts, limiter: counters, maxBody: DefaultMaxBody, holdTimeout: DefaultHoldTimeout, injectCap: true,
		custom: map[string]customPath{}, logger: slog.New(slog.DiscardHandler), now: time.Now, clientAddress: RemoteAddress,
		watchEvery: defaultWatchEvery, streamHold: defaultStreamHold,
	}
	for _, option := range options {
		option(g)
	}
	if g.runs == nil {
		g.runs = NewRuns(DefaultMaxRuns)
	}
	return g
}

// Wrap puts the gate in front of next.
func (g *Gate) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.Serve(w, r, next) })
}

// Serve takes one request through the gate. It is Wrap for those whose next
// handler differs from request to request.
func (g *Gate) Serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	x := &exchange{gate: g, arrived: g.now()}
	x.request.id, x.request.body.pool = newRequestID(), &g.bodies
	x.headers = headers{kind: g.kindOf(r), now: g.now, room: &x.admission.headroom, id: [1]string{x.request.id}}
	x.headers.own(w.Header())
	if x.serve(w, r, next); !x.later {
		x.request.body.drop()
	}
}

// kindOf returns the shape of a request's errors.
func (g *Gate) kindOf(r *http.Request) dialect.Kind {
	if g.kind != nil {
		return *g.kind
	}
	return dialect.KindOf(r.URL.EscapedPath())
}

// newRequestID returns an id that nobody else has. Ids from outside are not
// taken over: they go into the ledger.
func newRequestID() string {
	const prefix = "req_"
	var raw [12]byte
	rand.Read(raw[:])
	id := [len(prefix) + 2*len(raw)]byte{}
	hex.Encode(id[copy(id[:], prefix):], raw[:])
	return string(id[:])
}

// serve takes a request through its life. Each step either goes on or refuses.
func (x *exchange) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	path := r.URL.EscapedPath()
	if refusal := x.authenticate(r); refusal != nil {
		x.refuse(w, r, refusal)
		return
	}
	route, known := dialect.Classify(r.Method, path)
	custom, named := x.gate.custom[path]
	switch {
	case named && custom.priced():
		x.request.custom = &custom
		route = dialect.Route{Kind: x.headers.kind, Operation: dialect.Custom}
	case known:
	case x.gate.unmeteredPath(path):
		if refusal := x.caller.mayPass(dialect.Custom); refusal != nil {
			x.refuse(w, r, refusal)
			return
		}
		passOn(w, r, next)
		return
	default:
		x.refuse(w, r, refuseUnknownPath())
		return
	}
	x.request.call.Route = route
	if refusal := x.caller.may(route.Operation); refusal != nil {
		x.refuse(w, r, refusal)
		return
	}
	switch route.Operation {
	case dialect.Models:
		x.listModels(w, r, next)
	case dialect.Poll:
		x.poll(w, r)
	case dialect.ExecuteAsync:
		x.start(w, r, next)
	default:
		x.serveCall(w, r, next)
	}
}

// authenticate finds the caller.
func (x *exchange) authenticate(r *http.Request) (refusal *dialect.Refusal) {
	var err error
	x.caller, err = x.gate.identify(r)
	switch {
	case errors.Is(err, ledger.ErrUnknownKey):
		return refuseKey()
	case err != nil:
		x.gate.logger.Error("key not checked", "request_id", x.request.id, "error", err)
		return refuseUnavailable()
	}
	return nil
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
