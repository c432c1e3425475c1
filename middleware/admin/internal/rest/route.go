package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// Access says who may call a route.
type Access uint8

const (
	// AccessAnyone needs no key.
	AccessAnyone Access = iota
	// AccessKey needs any valid key.
	AccessKey
	// AccessAdmin needs an admin key; it manages its own owner only, unless it
	// manages all.
	AccessAdmin
	// AccessOperator needs an admin key that manages all owners.
	AccessOperator
)

// Route is one method of one path, with all that the OpenAPI document says of it.
type Route struct {
	Method string
	Path   string // segments in braces are parameters
	Access Access
	Handle func(*Call) error

	ID       string // of the operation: a generated client names its function so
	Tag      string // one of the API's tags
	Summary  string
	Query    schema.Members // parameters of the query
	Header   schema.Members // headers that are required
	Optional schema.Members // headers that are not
	Request  schema.Schema  // of the body; nil: it takes none
	Bodiless bool           // the body may be left out
	Status   int            // of success; 0: 200
	Repeated bool           // a repeated request is answered with 200
	Reply    any            // a value of the type that is sent
	Lines    bool           // the reply is one JSON value a line
	Media    string         // type of the reply; empty: JSON
	// Refusals are the statuses of refusals that do not follow from the rest.
	Refusals []int
	// RequestExample and ReplyExample are values for the document; nil: none.
	RequestExample, ReplyExample any
}

// refusals returns the statuses with which the route refuses, in order.
func (r *Route) refusals() []int {
	statuses := append([]int{http.StatusBadRequest}, r.Refusals...)
	if r.Access != AccessAnyone {
		statuses = append(statuses, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
	}
	if strings.Contains(r.Path, "{") {
		statuses = append(statuses, http.StatusNotFound)
	}
	if r.Request != nil {
		statuses = append(statuses, http.StatusRequestEntityTooLarge)
	}
	if r.Header[IdempotencyHeader] != nil || r.Optional[IdempotencyHeader] != nil {
		statuses = append(statuses, http.StatusUnprocessableEntity)
	}
	slices.Sort(statuses)
	return slices.Compact(statuses)
}

// pattern is a route with its path taken apart.
type pattern struct {
	*Route
	segments []string
}

// compile takes a route's path apart, once for all requests.
func compile(route *Route) pattern {
	segments, err := segmentsOf(route.Path)
	if err != nil {
		panic("rest: path " + route.Path + ": " + err.Error())
	}
	return pattern{route, segments}
}

// match compares segments with the path and returns the parameters.
func (p *pattern) match(segments []string) (parameters []string, ok bool) {
	if len(p.segments) != len(segments) {
		return nil, false
	}
	for i, want := range p.segments {
		if strings.HasPrefix(want, "{") {
			parameters = append(parameters, segments[i])
		} else if want != segments[i] {
			return nil, false
		}
	}
	return parameters, true
}

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

// find returns the route of a request and its path parameters. The first path
// that matches counts.
func (s *Server) find(r *http.Request) (*Route, []string, *Problem) {
	segments, err := segmentsOf(r.URL.EscapedPath())
	if err != nil {
		return nil, nil, &Problem{
			Status: http.StatusBadRequest, Code: "invalid_path", Message: "the path has an invalid escape",
		}
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	matched := ""
	for i := range s.patterns {
		pattern := &s.patterns[i]
		parameters, ok := pattern.match(segments)
		if !ok || matched != "" && matched != pattern.Path {
			continue
		}
		if pattern.Method == method {
			return pattern.Route, parameters, nil
		}
		matched = pattern.Path
	}
	if matched != "" {
		allowed := s.methods(matched)
		return nil, nil, &Problem{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Allow: allowed,
			Message: "the method is not supported here, use " + allowed,
		}
	}
	return nil, nil, &Problem{Status: http.StatusNotFound, Code: "route_not_found", Message: "no such path"}
}

// methods lists the methods of a path.
func (s *Server) methods(path string) string {
	var methods []string
	for i := range s.patterns {
		if s.patterns[i].Path != path {
			continue
		}
		methods = append(methods, s.patterns[i].Method)
		if s.patterns[i].Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return strings.Join(methods, ", ")
}
