// Package httplimit limits how many requests each client of an HTTP server may make. It
// is the limiter of package limiter as plain net/http middleware, for servers that need
// neither keys nor credits:
//
//	handler = httplimit.New(100, httplimit.ByAddress)(handler) // in any 60 seconds
//
// The minute is a rolling one and exact: in any 60 seconds no client gets more than its
// limit, however its requests are spread. A refused request does not count, and its
// Retry-After is when the next one will be admitted.
package httplimit

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// Limiter is what counts the requests; *limiter.Memory implements it. Implementations are
// safe for concurrent use.
type Limiter interface {
	Reserve(ctx context.Context, request limiter.Request) (limiter.Decision, error)
	Settle(ctx context.Context, handle limiter.Handle, actual limiter.Tokens) error
}

// Option changes the middleware.
type Option func(*guard)

// WithDay admits at most n requests of a client from one midnight to the next, too. The
// limiter's zone says when midnight is; the default is UTC.
func WithDay(n int64) Option { return func(g *guard) { g.row.RPD = n } }

// WithMaxInFlight admits at most n requests of a client at once, too.
func WithMaxInFlight(n int64) Option { return func(g *guard) { g.row.MaxInFlight = n } }

// WithLimiter counts in a limiter that others use as well. The default is one in memory,
// of the middleware's own.
func WithLimiter(counters Limiter) Option { return func(g *guard) { g.limiter = counters } }

// WithRefusal sets what answers a request that is over a limit. The headers are set by
// then; the default answers 429 and a line of text.
func WithRefusal(answer func(w http.ResponseWriter, r *http.Request, refusal limiter.Refusal)) Option {
	return func(g *guard) { g.refuse = answer }
}

// guard holds the clients of one handler to their limits.
type guard struct {
	row     limits.Row
	client  func(*http.Request) string
	limiter Limiter
	refuse  func(http.ResponseWriter, *http.Request, limiter.Refusal)
}

// New returns middleware that admits at most perMinute requests of each client in any 60
// seconds. client names the client of a request, such as [ByAddress] or a function that
// returns the user's id; requests for which it returns nothing share one limit. New
// panics if perMinute is below 1, client is nil, or an option has a negative number.
func New(perMinute int64, client func(*http.Request) string, options ...Option) func(http.Handler) http.Handler {
	g := &guard{row: limits.Row{RPM: perMinute}, client: client, refuse: refuse}
	for _, option := range options {
		option(g)
	}
	switch {
	case perMinute < 1:
		panic(fmt.Sprintf("httplimit: %d requests a minute admit nobody", perMinute))
	case client == nil:
		panic("httplimit: the function that names the client is nil")
	case g.row.RPD < 0:
		panic(fmt.Sprintf("httplimit: %d requests a day are negative", g.row.RPD))
	case g.row.MaxInFlight < 0:
		panic(fmt.Sprintf("httplimit: %d requests in flight are negative", g.row.MaxInFlight))
	}
	if g.limiter == nil {
		g.limiter = limiter.New()
	}
	rows := []limits.Binding{{Row: g.row}}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, next, rows) })
	}
}

// serve passes a request on if the limits allow it. A limiter that cannot decide lets
// nothing pass.
func (g *guard) serve(w http.ResponseWriter, r *http.Request, next http.Handler, rows []limits.Binding) {
	decision, err := g.limiter.Reserve(r.Context(), limiter.Request{Key: name(g.client(r)), Rows: rows})
	if err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "requests cannot be counted now", http.StatusServiceUnavailable)
		return
	}
	setHeaders(w.Header(), &decision)
	if !decision.Admitted {
		g.refuse(w, r, decision.Refusal)
		return
	}
	defer func() {
		// It ends the request in flight, also when the handler panics. The limiter has it
		// even if the client has left.
		_ = g.limiter.Settle(context.WithoutCancel(r.Context()), decision.Handle, limiter.Tokens{})
	}()
	next.ServeHTTP(w, r)
}

// name returns the limiter's key of a client. No client can have the name of those that
// have none.
func name(client string) string {
	if client == "" {
		return "unknown"
	}
	return "client " + client
}

// setHeaders tells of the limit per minute: how many requests it allows, how many are
// left, and in how many seconds all will be, if no more come. A refusal tells when the
// next request will be admitted, in seconds rounded up.
func setHeaders(header http.Header, decision *limiter.Decision) {
	header.Set("RateLimit-Limit", strconv.FormatInt(decision.Requests.Limit, 10))
	header.Set("RateLimit-Remaining", strconv.FormatInt(decision.Requests.Remaining, 10))
	header.Set("RateLimit-Reset", seconds(decision.Requests.Reset))
	if !decision.Admitted {
		header.Set("Retry-After", seconds(max(decision.Refusal.RetryAfter, time.Millisecond)))
	}
}

// seconds writes a wait in whole seconds, rounded up so that nobody comes too early.
func seconds(wait time.Duration) string {
	return strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
}

// ruleWords say what a limit counts.
var ruleWords = map[limits.Rule]string{
	limits.RPM: "requests a minute", limits.RPD: "requests a day", limits.MaxInFlight: "requests at once",
}

func refuse(w http.ResponseWriter, _ *http.Request, refusal limiter.Refusal) {
	http.Error(w, fmt.Sprintf("too many requests: %d %s are allowed; try again in %s s",
		refusal.Limit, ruleWords[refusal.Rule], seconds(refusal.RetryAfter)), http.StatusTooManyRequests)
}
