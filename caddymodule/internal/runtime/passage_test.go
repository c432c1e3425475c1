package runtime

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// prepared returns a request as Caddy hands it to a handler.
func prepared(w http.ResponseWriter) *http.Request {
	return caddyhttp.PrepareRequest(httptest.NewRequest("GET", "/", nil), caddy.NewReplacer(), w, new(caddyhttp.Server))
}

func TestTheErrorOfAPathThatIsNotMeasuredIsLeftToCaddy(t *testing.T) {
	failure := caddyhttp.Error(http.StatusTeapot, errors.New("short and stout"))
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return failure })
	passage := NewPassage(newLease(func() {}, never), LastingLog("test"), next)
	w := httptest.NewRecorder()
	passage.ServeHTTP(w, prepared(w))
	if err := passage.Finish(); !errors.Is(err, failure) {
		t.Errorf("Caddy gets %v", err)
	}
	if w.Body.Len() > 0 {
		t.Errorf("the passage wrote %q", w.Body)
	}
}

func TestACallThatComesTooLateReachesNoHandler(t *testing.T) {
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("the handler ran")
		return nil
	})
	lease := newLease(func() {}, never)
	lease.Retire()
	w := httptest.NewRecorder()
	NewPassage(lease, LastingLog("test"), next).ServeHTTP(w, prepared(w))
}
