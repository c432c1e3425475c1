package rest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// keys authenticates the texts "admin" and "member".
type keys struct{}

func (keys) Authenticate(text string) (ledger.Key, error) {
	switch text {
	case "admin":
		return ledger.Key{ID: "a", Role: ledger.RoleAdmin}, nil
	case "member":
		return ledger.Key{ID: "m"}, nil
	}
	return ledger.Key{}, ledger.ErrUnknownKey
}

// greeting is the reply of the routes below.
type greeting struct {
	Hello []string `json:"hello"`
	By    string   `json:"by,omitempty"`
}

func hello(c *rest.Call) error {
	c.JSON(http.StatusOK, greeting{c.Parameters, c.Caller.ID})
	return nil
}

// api is an API of which each refusal begins with its name.
func api(name string, routes ...rest.Route) rest.API {
	return rest.API{
		Prefixes: []string{"/" + name}, Routes: routes, Refusal: "", Components: name,
		Refuse: func(c *rest.Call, p *rest.Problem) { c.JSON(p.Status, name+" "+p.Code+" "+p.Message) },
	}
}

func newServer(log *slog.Logger) *rest.Server {
	guard := rest.Guard{
		Keys: keys{}, ClientAddress: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.1") },
		Throttle: rest.NewThrottle(), Now: time.Now,
	}
	return rest.NewServer(guard, log,
		api("one",
			rest.Route{Method: "GET", Path: "/one/open", Handle: hello, Summary: "Greet.", Reply: greeting{}},
			rest.Route{Method: "GET", Path: "/one/{name}", Access: rest.AccessKey, Handle: hello, Reply: greeting{}},
			rest.Route{Method: "DELETE", Path: "/one/{name}", Access: rest.AccessAdmin, Handle: hello, Reply: greeting{}},
			rest.Route{Method: "PUT", Path: "/one/{name}/deep", Access: rest.AccessOperator, Handle: hello, Reply: greeting{}}),
		api("two", rest.Route{
			Method: "POST", Path: "/two", Lines: true, Status: 201, Reply: []int{},
			Header: schema.Members{"Once": schema.Text}, Query: schema.Members{"limit": schema.Count},
			Request: schema.Object(schema.Members{"name": schema.Text}, "name"),
			Handle:  func(*rest.Call) error { return errors.New("the disk is gone") },
		}),
	)
}

// call returns the status and the body of a reply.
func call(handler http.Handler, method, path, key string) (int, string, http.Header) {
	request := httptest.NewRequest(method, path, nil)
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code, strings.TrimSpace(recorder.Body.String()), recorder.Header()
}

func TestARequestFindsItsRouteAndARefusalItsShape(t *testing.T) {
	s := newServer(slog.New(slog.DiscardHandler))
	for _, c := range []struct {
		method, path, key string
		status            int
		body              string
	}{
		{"GET", "/one/open", "", 200, `{"hello":null}`},
		{"GET", "//one//open/", "", 200, `{"hello":null}`},
		{"HEAD", "/one/open", "", 200, `{"hello":null}`}, // the listener drops the body
		{"GET", "/one/a%2Fb", "member", 200, `{"hello":["a/b"],"by":"m"}`},
		{"GET", "/one/a", "", 401, `"one invalid_api_key unauthorized: no valid API key"`},
		{"DELETE", "/one/a", "member", 403, `"one admin_key_required Forbidden: this needs an admin key"`},
		{"DELETE", "/one/a", "admin", 200, `{"hello":["a"],"by":"a"}`},
		{"PUT", "/one/a/deep", "admin", 403, `"one all_owners_required Forbidden: this needs an admin key for all owners"`},
		{"POST", "/one/a", "", 405, `"one method_not_allowed the method is not supported here, use GET, HEAD, DELETE"`},
		{"DELETE", "/one/open", "admin", 405, `"one method_not_allowed the method is not supported here, use GET, HEAD"`},
		{"GET", "/one/a/b/c", "", 404, `"one route_not_found no such path"`},
		{"GET", "/two/a", "", 404, `"two route_not_found no such path"`},
		{"GET", "/three", "", 404, `"two route_not_found no such path"`},
	} {
		status, body, header := call(s, c.method, c.path, c.key)
		if status != c.status || body != c.body || header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, status, body, c.status, c.body)
		}
		if allow := header.Get("Allow"); (allow != "") != (status == 405) {
			t.Errorf("%s %s allows %q", c.method, c.path, allow)
		}
	}
}

func TestAnUnknownErrorIsInTheLogAndNotInTheReply(t *testing.T) {
	var log strings.Builder
	s := newServer(slog.New(slog.NewTextHandler(&log, nil)))
	status, body, header := call(s, "POST", "/two", "")
	if status != 500 || body != `"two internal_error internal error"` {
		t.Errorf("%d %s", status, body)
	}
	if text := log.String(); !strings.Contains(text, "the disk is gone") || !strings.Contains(text, header.Get("X-Request-Id")) {
		t.Errorf("the log says %s", text)
	}
}

func TestAServerMatchesThePathsOfItsAPIs(t *testing.T) {
	s := newServer(slog.New(slog.DiscardHandler))
	for path, want := range map[string]bool{
		"/one": true, "/one/": true, "//one/x": true, "/one/none": true, "/two": true, "/ones": false, "/": false, "/three/one": false,
	} {
		if got := s.Matches(httptest.NewRequest("GET", path, nil)); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestTheDocumentSaysWhatTheTableSays(t *testing.T) {
	var document struct {
		Paths map[string]map[string]struct {
			Summary    string           `json:"summary"`
			Parameters []map[string]any `json:"parameters"`
			Security   []any            `json:"security"`
			Body       any              `json:"requestBody"`
			Responses  map[string]any   `json:"responses"`
		} `json:"paths"`
		Components struct {
			Schemas   map[string]any `json:"schemas"`
			Responses map[string]any `json:"responses"`
		} `json:"components"`
	}
	if err := json.Unmarshal(newServer(slog.New(slog.DiscardHandler)).Document(), &document); err != nil {
		t.Fatal(err)
	}
	open, named, post := document.Paths["/one/open"]["get"], document.Paths["/one/{name}"]["delete"], document.Paths["/two"]["post"]
	if open.Summary != "Greet." || open.Security == nil || len(open.Security) != 0 || len(open.Parameters) != 0 || open.Responses["200"] == nil {
		t.Errorf("an open route is %+v", open)
	}
	if len(named.Security) == 0 || fmt.Sprint(named.Parameters) != "[map[in:path name:name required:true schema:map[type:string]]]" {
		t.Errorf("a route with a parameter is %+v", named)
	}
	if len(post.Parameters) != 2 || post.Parameters[0]["in"] != "header" || post.Parameters[1]["required"] != false ||
		post.Body == nil || post.Responses["201"] == nil {
		t.Errorf("a route with a body is %+v", post)
	}
	if document.Components.Schemas["oneGreeting"] == nil {
		t.Errorf("the components are %v", document.Components.Schemas)
	}
	for status, want := range map[string]string{"400": "oneBadRequest", "401": "oneUnauthorized", "404": "oneNotFound", "429": "oneTooManyRequests"} {
		if got := fmt.Sprint(named.Responses[status]); got != "map[$ref:#/components/responses/"+want+"]" || document.Components.Responses[want] == nil {
			t.Errorf("refusals with %s are %s, which is %v", status, got, document.Components.Responses[want])
		}
	}
	if open.Responses["401"] != nil || post.Responses["413"] == nil {
		t.Errorf("the refusals are %v and %v", open.Responses, post.Responses)
	}
}
