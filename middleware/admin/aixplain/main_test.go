package aixplain_test

import (
	"net/http"
	"testing"

	"github.com/penstockhq/penstock/middleware/admin"
	"github.com/penstockhq/penstock/middleware/admin/internal/admintest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the whole administration, as these routes are never served alone.
type server struct{ *admintest.Server }

func newServer(t testing.TB, options ...admin.Option) *server {
	t.Helper()
	return &server{admintest.New(t, func(base *admintest.Server) http.Handler {
		return admin.New(base.Ledger, base.Limiter, append([]admin.Option{admin.WithClock(base.Clock)}, options...)...)
	})}
}
