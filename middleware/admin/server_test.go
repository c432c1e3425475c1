package admin

import (
	"net/http"
	"testing"

	"github.com/penstockhq/penstock/middleware/admin/internal/admintest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a handler over a real ledger on disk, behind a real listener.
type server struct {
	*admintest.Server
	handler *Handler
}

func newServer(t testing.TB, options ...Option) *server {
	t.Helper()
	s := new(server)
	s.Server = admintest.New(t, func(base *admintest.Server) http.Handler {
		s.handler = New(base.Ledger, base.Limiter, append([]Option{WithClock(base.Clock)}, options...)...)
		return s.handler
	})
	return s
}
