package middleware

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/penstockhq/penstock/ledger"
)

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

// passOn hands a request on that nothing is charged for.
func passOn(w http.ResponseWriter, r *http.Request, next http.Handler) {
	request := r.Clone(r.Context())
	request.Header = upstreamHeader(r.Header)
	next.ServeHTTP(w, request)
}
