package rest_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// thing is what the example's route sends.
type thing struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// A route is one entry of a table: who may call it, its handler, and all that the
// OpenAPI document says of it.
func ExampleServer() {
	create := func(c *rest.Call) error {
		f, err := c.Fields()
		if err != nil {
			return err
		}
		made := thing{Name: f.Text("name", 100)}
		made.Count, _ = f.Integer("count", 1, 10)
		f.Done()
		if err := f.Err(); err != nil {
			return err
		}
		c.JSON(http.StatusCreated, made)
		return nil
	}
	things := rest.API{
		Prefixes: []string{"/things"},
		Routes: []rest.Route{{
			Method: "POST", Path: "/things", Access: rest.AccessKey, Handle: create,
			Summary: "Make a thing.", Status: http.StatusCreated, Reply: thing{},
			Request: schema.Object(schema.Members{"name": schema.Text, "count": schema.Integer(1, 10)}, "name"),
		}},
		Refuse:  func(c *rest.Call, p *rest.Problem) { c.JSON(p.Status, p.Message) },
		Refusal: "",
	}
	guard := rest.Guard{
		Keys: keys{}, ClientAddress: func(*http.Request) netip.Addr { return netip.Addr{} },
		Throttle: rest.NewThrottle(), Now: time.Now,
	}
	server := rest.NewServer(guard, slog.New(slog.DiscardHandler), things)

	for _, body := range []string{`{"name": "a", "count": 3}`, `{"name": "a", "count": 11}`, `{"nmae": "a"}`} {
		request := httptest.NewRequest("POST", "/things", strings.NewReader(body))
		request.Header.Set("X-Api-Key", "member")
		reply := httptest.NewRecorder()
		server.ServeHTTP(reply, request)
		fmt.Print(reply.Code, " ", reply.Body)
	}
	// Output:
	// 201 {"name":"a","count":3}
	// 400 "count: \"11\" is not a whole number from 1 to 10"
	// 400 "nmae: unknown field"
}
