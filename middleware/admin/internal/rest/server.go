package rest

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"

	"github.com/penstockhq/penstock/middleware/internal/requestid"
)

// API is a set of routes that answer refusals in one shape.
type API struct {
	// Prefixes are the paths, such as /v2/models, below which everything belongs to
	// this API, also paths that have no route.
	Prefixes []string
	Routes   []Route
	// Refuse writes a refusal. Headers and the log that do not depend on the API
	// are taken care of.
	Refuse func(*Call, *Problem)
	// Refusal is a value of the type that Refuse sends.
	Refusal any
	// Tags are the groups of the document that routes belong to, in order.
	Tags []Tag
	// Components stands before the names of this API's types in the document.
	Components string
}

// Tag is a group of routes in the document.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Server serves APIs side by side. It is safe for concurrent use.
type Server struct {
	guard    Guard
	logger   *slog.Logger
	mounts   []mount
	patterns []pattern
	document []byte
}

// mount is one prefix of an API.
type mount struct {
	prefix []string
	api    *API
}

// NewServer returns a server of some APIs, at least one. The last one answers for
// paths that belong to none.
func NewServer(guard Guard, logger *slog.Logger, apis ...API) *Server {
	s := &Server{guard: guard, logger: logger}
	for i := range apis {
		for _, prefix := range apis[i].Prefixes {
			segments, err := segmentsOf(prefix)
			if err != nil {
				panic("rest: prefix " + prefix + ": " + err.Error())
			}
			s.mounts = append(s.mounts, mount{segments, &apis[i]})
		}
		for j := range apis[i].Routes {
			s.patterns = append(s.patterns, compile(&apis[i].Routes[j]))
		}
	}
	s.document = describe(apis)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &Call{Writer: w, Request: r, ID: requestid.New(), logger: s.logger}
	w.Header().Set("X-Request-Id", c.ID)
	w.Header().Set("Request-Id", c.ID)
	if err := s.serve(c); err != nil {
		s.refuse(c, problemOf(err))
	}
}

func (s *Server) serve(c *Call) error {
	route, parameters, missing := s.find(c.Request)
	if missing != nil {
		return missing
	}
	c.route, c.Parameters = route, parameters
	caller, err := s.guard.identify(c.Request, route.Access)
	if err != nil {
		return err
	}
	c.Caller = caller
	return route.Handle(c)
}

// refuse sends a problem in the shape of the API that the path belongs to.
func (s *Server) refuse(c *Call, p *Problem) {
	if p.Status >= http.StatusInternalServerError {
		s.logger.Error("administrative request failed", slog.String("request_id", c.ID),
			slog.String("code", p.Code), slog.Any("cause", p.Cause))
	}
	if p.Allow != "" {
		c.Writer.Header().Set("Allow", p.Allow)
	}
	fallback := s.mounts[len(s.mounts)-1].api
	cmp.Or(s.owner(c.Request), fallback).Refuse(c, p)
}

// owner returns the API that a path belongs to, nil if there is none.
func (s *Server) owner(r *http.Request) *API {
	segments, err := segmentsOf(r.URL.EscapedPath())
	if err != nil {
		return nil
	}
	at := slices.IndexFunc(s.mounts, func(m mount) bool {
		return len(segments) >= len(m.prefix) && slices.Equal(segments[:len(m.prefix)], m.prefix)
	})
	if at < 0 {
		return nil
	}
	return s.mounts[at].api
}

// Matches reports whether a request is for a path that belongs to one of the APIs. A
// server that mounts this one among others passes other requests on.
func (s *Server) Matches(r *http.Request) bool { return s.owner(r) != nil }

// Document returns the OpenAPI document of all routes.
func (s *Server) Document() []byte { return s.document }
