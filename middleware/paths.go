package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// pathOf returns the escaped path of a request below the gate's prefix, or nothing if it
// is not below it.
func (g *Gate) pathOf(r *http.Request) string {
	escaped := r.URL.EscapedPath()
	if g.prefix == "" {
		return escaped
	}
	below, ok := strings.CutPrefix(escaped, g.prefix)
	if !ok || !strings.HasPrefix(below, "/") {
		return ""
	}
	return below
}

// locate finds out what a request's method and path mean, or why they mean nothing. A
// path that passes without a meter has no spec.
func (q *request) locate(g *Gate, r *http.Request) *dialect.Refusal {
	escaped := g.pathOf(r)
	if custom, ok := g.custom[escaped]; ok && custom.priced() {
		if answersNothing(r.Method) {
			return refuseMethod(customMethods)
		}
		q.custom = custom
		q.call.Route = dialect.Custom()
		return nil
	}
	route, metered := dialect.Classify(r.Method, escaped)
	switch {
	case metered:
		q.call.Route = route
	case g.unmeteredPath(escaped):
	default:
		if methods := dialect.Methods(escaped); len(methods) > 0 {
			return refuseMethod(methods)
		}
		return refusePath(escaped)
	}
	return nil
}

// customMethods are named to a caller whose method a path of the operator's does not
// take.
var customMethods = []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut}

// answersNothing says that a method asks about a path and not for its answer. Such a
// call must not cost what an answer costs, and must not get the work for free.
func answersNothing(method string) bool {
	switch method {
	case http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return true
	}
	return false
}

// customPath is a path that the operator named.
type customPath struct {
	fixed ledger.Micro
	set   bool // the ledger knows the fixed cost
	worst ledger.Quantity
}

// priced says that the ledger knows what the path costs.
func (c *customPath) priced() bool { return c.fixed == 0 || c.set }

// SetPrices sets the ledger's prices of the paths with a fixed cost. Call it
// before the gate serves. A path whose price cannot be set is refused, like any
// other that has no meter; the error names it.
func (g *Gate) SetPrices(ctx context.Context) error {
	var problems []error
	prices, can := g.ledger.(pricer)
	for named, custom := range g.custom {
		if custom.priced() {
			continue
		}
		err := errNoPrices
		if can {
			err = prices.SetPrice(ctx, named, ledger.Price{Request: custom.fixed})
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("fixed cost of %s: %w", named, err))
			continue
		}
		custom.set = true
	}
	return errors.Join(problems...)
}

var errNoPrices = errors.New("the ledger has no prices to set")

// unmeteredPath says whether a path may pass without a meter. A path that an upstream
// could read as another one matches no prefix.
func (g *Gate) unmeteredPath(escaped string) bool {
	for _, allowed := range g.unmetered {
		prefix, wide := strings.CutSuffix(allowed, "*")
		if allowed == escaped || wide && strings.HasPrefix(escaped, prefix) && unambiguous(escaped) {
			return true
		}
	}
	return false
}

// maxUnescapes is how often a path may be escaped: once by the client, and again by
// each proxy that takes an escaped path for a plain one.
const maxUnescapes = 4

// unambiguous says that every server reads a path in the same way, however often it
// unescapes it: it stays below the prefix that it begins with.
func unambiguous(escaped string) bool {
	for range maxUnescapes + 1 {
		if !straight(escaped) {
			return false
		}
		plain, err := url.PathUnescape(escaped)
		if err != nil {
			return false
		}
		if plain == escaped {
			return true
		}
		escaped = plain
	}
	return false
}

// straight says that a path leads nowhere but down: it has no dot segments, nothing that
// some servers take for a slash or cut off a segment, and no empty segment but the one
// of a slash at its end.
func straight(path string) bool {
	for _, char := range []byte(path) {
		if char < ' ' || char == 0x7f || char == '\\' || char == ';' {
			return false
		}
	}
	segments := strings.Split(path, "/")
	if len(segments) < 2 || segments[0] != "" {
		return false
	}
	for i, segment := range segments[1:] {
		last := i == len(segments)-2
		if segment == "." || segment == ".." || segment == "" && !last {
			return false
		}
	}
	return true
}

// passOn hands on a request that costs nothing.
func (x *exchange) passOn(w http.ResponseWriter, r *http.Request, next http.Handler) {
	request := r.Clone(r.Context())
	request.Header = x.headers.forUpstream(r.Header)
	dropQueryKeys(request)
	passed := &passedReply{ResponseWriter: w, exchange: x, request: r}
	next.ServeHTTP(passed, request)
	dropOwnTrailers(w.Header())
}

// passedReply is the writer of a request that costs nothing. The reply passes as it is,
// without the headers that are the gate's own or about the upstream, and with a status
// that exists.
type passedReply struct {
	http.ResponseWriter
	exchange *exchange
	request  *http.Request
	wrote    bool
	refused  bool // the reply was replaced by a refusal
}

// WriteHeader implements http.ResponseWriter.
func (p *passedReply) WriteHeader(status int) {
	if p.wrote {
		return
	}
	header := p.Header()
	p.exchange.headers.clean(header)
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		p.ResponseWriter.WriteHeader(status)
		return
	}
	p.wrote = true
	if noStatus(status) {
		p.refused = true
		clearReplyHeaders(header)
		p.exchange.sendRefusal(p.ResponseWriter, p.request, &dialect.Refusal{
			Reason: dialect.UpstreamFailed, Message: errStatus.Error(),
		})
		return
	}
	dropTrailers(header)
	p.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (p *passedReply) Write(piece []byte) (int, error) {
	if !p.wrote {
		p.WriteHeader(http.StatusOK)
	}
	if p.refused {
		return len(piece), nil
	}
	return p.ResponseWriter.Write(piece)
}

// FlushError is Flush of http.Flusher with an error.
func (p *passedReply) FlushError() error {
	if !p.wrote {
		p.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(p.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (p *passedReply) Flush() { _ = p.FlushError() }

// Unwrap lets http.ResponseController reach the rest.
func (p *passedReply) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// noStatus says that no final status of HTTP is this one: net/http panics at some of them,
// and the gate has asked for no other protocol.
func noStatus(status int) bool { return status < 200 || status > 599 }
