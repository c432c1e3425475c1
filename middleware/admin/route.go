package admin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// dialect is the shape of a route's replies.
type dialect uint8

const (
	native dialect = iota
	aixplain
)

// access says who may call a route.
type access uint8

const (
	// accessAnyone needs no key.
	accessAnyone access = iota
	// accessKey needs any valid key.
	accessKey
	// accessAdmin needs an admin key; it manages its own owner only, unless it
	// manages all.
	accessAdmin
	// accessOperator needs an admin key that manages all owners.
	accessOperator
)

// route is one method of one path.
type route struct {
	method string
	path   string // segments in braces are parameters
	access access
	handle func(*Handler, *call) error
}

// dialect returns the shape of the route's replies.
func (r *route) dialect() dialect { return dialectOf(r.path) }

func dialectOf(path string) dialect {
	if strings.HasPrefix(path, "/admin/") || path == "/admin" {
		return native
	}
	return aixplain
}

// prefixes are the first segments of all paths that this package serves.
var prefixes = [...][]string{{"admin"}, {"sdk"}, {"v2", "models"}}

// segmentsOf splits an escaped path and unescapes each segment by itself, so
// that acme%2Ftiny stays one id. Empty segments do not count: a client with a
// slash at the end of its base URL sends //sdk/..., and a redirect would turn
// its POST into a GET.
func segmentsOf(escaped string) ([]string, error) {
	var segments []string
	for segment := range strings.SplitSeq(escaped, "/") {
		if segment == "" {
			continue
		}
		text, err := url.PathUnescape(segment)
		if err != nil {
			return nil, err
		}
		segments = append(segments, text)
	}
	return segments, nil
}

// match compares segments with the route's path and returns the parameters.
func (r *route) match(segments []string) (parameters []string, ok bool) {
	pattern, _ := segmentsOf(r.path)
	if len(pattern) != len(segments) {
		return nil, false
	}
	for i, want := range pattern {
		if strings.HasPrefix(want, "{") {
			parameters = append(parameters, segments[i])
		} else if want != segments[i] {
			return nil, false
		}
	}
	return parameters, true
}

// Matches tells whether a request is for a path that the handler owns: below
// /admin, /sdk or /v2/models. A server that mounts it among others passes the
// rest on.
func (h *Handler) Matches(r *http.Request) bool {
	segments, err := segmentsOf(r.URL.EscapedPath())
	if err != nil {
		return false
	}
	return slices.ContainsFunc(prefixes[:], func(prefix []string) bool {
		return len(segments) >= len(prefix) && slices.Equal(segments[:len(prefix)], prefix)
	})
}

// find returns the route of a request and its path parameters. Literal paths
// stand before those with parameters in the table, and the first match counts.
func (h *Handler) find(r *http.Request) (*route, []string, *problem) {
	segments, err := segmentsOf(r.URL.EscapedPath())
	if err != nil {
		return nil, nil, &problem{status: http.StatusBadRequest, code: "invalid_path", message: "the path is not well escaped"}
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	matched := ""
	for i := range h.routes {
		route := &h.routes[i]
		parameters, ok := route.match(segments)
		if !ok || matched != "" && matched != route.path {
			continue
		}
		if route.method == method {
			return route, parameters, nil
		}
		matched = route.path
	}
	if matched != "" {
		return nil, nil, &problem{
			status: http.StatusMethodNotAllowed, code: "method_not_allowed", allow: h.allowed(matched),
			message: "the method is not supported here, use " + h.allowed(matched),
		}
	}
	return nil, nil, &problem{status: http.StatusNotFound, code: "route_not_found", message: "no such path"}
}

// allowed lists the methods of a path.
func (h *Handler) allowed(path string) string {
	var methods []string
	for _, route := range h.routes {
		if route.path == path {
			methods = append(methods, route.method)
			if route.method == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	return strings.Join(methods, ", ")
}
