package aixplain_test

import (
	"testing"

	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

func TestEachCallerGetsItsErrorInTheShapeOfTheSDK(t *testing.T) {
	s := aixplainServer(t)
	for _, c := range []struct {
		method, path, key string
		status            int
		message           string
	}{
		{"GET", "/sdk/api-keys", "", 401, "unauthorized: no valid API key"},
		{"GET", "/sdk/api-keys", s.Member, 403, "Forbidden: this needs an admin key"},
		{"DELETE", "/sdk/api-keys/x", s.Member, 403, "Forbidden: this needs an admin key"},
		{"GET", "/sdk/api-keys/x/usage-limits", s.Member, 403, "Forbidden: this needs an admin key"},
		{"PATCH", "/sdk/api-keys", s.Admin, 405, "the method is not supported here, use GET, HEAD, POST"},
		{"PUT", "/sdk/api-keys/usage-limits", s.Admin, 405, "the method is not supported here, use GET, HEAD"},
		{"GET", "/sdk/other", s.Admin, 404, "no such path"},
	} {
		got := s.Call(c.method, c.path, c.key, "")
		if got.Status != c.status || got.Number("statusCode") != float64(c.status) || got.Text("message") != c.message || got.Text("error") != c.message {
			t.Errorf("%s %s: %d %s", c.method, c.path, got.Status, got.Body)
		}
	}
	for range rest.FailureBurst {
		s.Call("GET", "/sdk/api-keys", "wrong", "")
	}
	// A Retry-After header would make the SDK sleep instead of raising its error.
	if got := s.Call("GET", "/sdk/api-keys", "wrong", "").Want(429); got.Header.Get("Retry-After") != "" || got.Number("retry_after_ms") == 0 {
		t.Errorf("%v %s", got.Header, got.Body)
	}
}
