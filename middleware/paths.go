package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// locate finds out what a request's path means, and is false if it means nothing.
// A path that passes without a meter has no spec.
func (q *request) locate(g *Gate, r *http.Request) bool {
	escaped := r.URL.EscapedPath()
	if custom, ok := g.custom[escaped]; ok && custom.priced() {
		q.custom = custom
		q.call.Route = dialect.Custom()
		return true
	}
	route, metered := dialect.Classify(r.Method, escaped)
	if metered {
		q.call.Route = route
	}
	return metered || g.unmeteredPath(escaped)
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
// could read as another one, because of dots or empty segments, matches no prefix.
func (g *Gate) unmeteredPath(escaped string) bool {
	plain, err := url.PathUnescape(escaped)
	straight := err == nil && path.Clean("/"+plain) == strings.TrimSuffix(plain, "/") && !strings.Contains(plain, "\\")
	for _, allowed := range g.unmetered {
		prefix, wide := strings.CutSuffix(allowed, "*")
		if wide && straight && strings.HasPrefix(escaped, prefix) || allowed == escaped {
			return true
		}
	}
	return false
}

// passOn hands on a request that costs nothing.
func passOn(w http.ResponseWriter, r *http.Request, next http.Handler) {
	request := r.Clone(r.Context())
	request.Header = upstreamHeader(r.Header)
	next.ServeHTTP(w, request)
}
