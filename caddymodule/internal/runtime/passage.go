package runtime

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/penstockhq/penstock/middleware"
)

// Passage is one request's way through a gate: as the handler behind it, it takes
// Caddy's next handler, and the error of it, past the plain net/http middleware.
type Passage struct {
	lease *Lease
	log   *slog.Logger
	next  caddyhttp.Handler

	mu   sync.Mutex      // a call that is answered later runs in its own goroutine
	call context.Context // of the call, nil if it was refused
	err  error
}

// NewPassage returns the way of a request to the next handler.
func NewPassage(lease *Lease, log *slog.Logger, next caddyhttp.Handler) *Passage {
	return &Passage{lease: lease, log: log, next: next}
}

// passageKey is where the refusals that Caddy writes find the passage.
type passageKey struct{}

// Attach returns the request with the passage in its context, where PassRefusal looks for it.
func (p *Passage) Attach(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), passageKey{}, p))
}

// ServeHTTP runs Caddy's next handler.
func (p *Passage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Counted once more than by the gate's ServeHTTP, because a call that is
	// answered later runs on after that has returned.
	if !p.lease.Begin() {
		middleware.ReportFailure(r.Context(), http.StatusServiceUnavailable, ErrRetired)
		return
	}
	defer p.lease.EndBehind()
	p.begin(r)
	if err := p.next.ServeHTTP(w, r); err != nil {
		p.fail(w, r, err)
	}
}

// begin publishes what is known of an admitted call as placeholders.
func (p *Passage) begin(r *http.Request) {
	call, ok := middleware.CallFrom(r.Context())
	if !ok {
		return
	}
	p.mu.Lock()
	p.call = r.Context()
	p.mu.Unlock()
	if r.Context().Value(loggedKey{}) == nil { // else the access log may be using its fields
		logIDs(r, call.RequestID, call.ClientRequestID)
	}
	replacer(r).Map(p.placeholder)
}

// placeholder returns the value of one of the gate's placeholders.
func (p *Passage) placeholder(name string) (any, bool) {
	if !strings.HasPrefix(name, "penstock.") && name != userID {
		return nil, false
	}
	p.mu.Lock()
	ctx := p.call
	p.mu.Unlock()
	call, _ := middleware.CallFrom(ctx)
	switch name {
	case "penstock.key.id", userID:
		return call.KeyID, true
	case "penstock.account":
		return call.Owner, true
	case "penstock.model":
		return call.Model, true
	case "penstock.request_id":
		return call.RequestID, true
	case "penstock.credits.charged":
		amount, settled := middleware.Charged(ctx)
		return amount.String(), settled
	}
	return nil, false
}

// userID is the placeholder that Caddy's access log takes the user from.
const userID = "http.auth.user.id"

// fail says what became of a call whose handler returned an error, which means
// that it has written nothing. The gate writes the answer, in the caller's
// dialect.
func (p *Passage) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	var known caddyhttp.HandlerError
	if errors.As(err, &known) && known.StatusCode != 0 {
		status = known.StatusCode
	}
	if _, metered := middleware.CallFrom(r.Context()); !metered {
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		return
	}
	if status < 500 {
		http.Error(w, http.StatusText(status), status) // a handler's own refusal
		return
	}
	p.report(r, status, err, known.Err)
	middleware.ReportFailure(r.Context(), status, err)
}

// report logs why a handler failed. Caddy would, but it sees no error, as the gate
// answers the caller; and the caller is not given the reason.
func (p *Passage) report(r *http.Request, status int, err, cause error) {
	if cause != nil {
		err = cause // without the place in Caddy's source
	}
	call, _ := middleware.CallFrom(r.Context())
	upstream, _ := replacer(r).GetString("http.reverse_proxy.upstream.hostport")
	p.log.Error("the handler behind the gate failed",
		"status", status, "error", err, "upstream", upstream, "model", call.Model, "request_id", call.RequestID)
}

// Finish returns the error that is left to Caddy.
func (p *Passage) Finish() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// PassRefusal hands a refusal to Caddy's error routes.
func PassRefusal(_ http.ResponseWriter, r *http.Request, refused middleware.Refused) {
	placeholders := replacer(r)
	placeholders.Set("penstock.key.id", refused.KeyID)
	placeholders.Set("penstock.request_id", refused.RequestID)
	placeholders.Set("penstock.error.code", refused.Refusal.CodeText())
	placeholders.Set("penstock.error.message", refused.Refusal.Message)
	placeholders.Set("penstock.retry_after_ms", refused.Refusal.RetryAfter.Milliseconds())
	limit := ""
	if refused.Refusal.Bound != nil {
		limit = refused.Refusal.Bound.Rule
	}
	placeholders.Set("penstock.limit", limit)
	passed := r.Context().Value(passageKey{}).(*Passage)
	passed.err = caddyhttp.Error(refused.Status, errors.New(refused.Refusal.Message))
}
