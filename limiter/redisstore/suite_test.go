package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"pgregory.net/rapid"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limiter/internal/suite"
)

// TestMain sets how many traces the property test tries.
func TestMain(m *testing.M) {
	redis.SetLogger(new(logging.VoidLogger)) // the client complains of what the tests do
	suite.Checks(cmp.Or(os.Getenv("PENSTOCK_LIMITER_CHECKS"), "60"))
	os.Exit(m.Run())
}

// flushed is a store whose settlements are at the server when they return.
type flushed struct{ *Store }

func (f flushed) Settle(ctx context.Context, handle limiter.Handle, actual limiter.Tokens) error {
	if err := f.Store.Settle(ctx, handle, actual); err != nil {
		return err
	}
	return f.Flush(ctx)
}

func (f flushed) Cancel(ctx context.Context, handle limiter.Handle) error {
	if err := f.Store.Cancel(ctx, handle); err != nil {
		return err
	}
	return f.Flush(ctx)
}

// subject returns a store as the suite tests it, beside the limiter in memory.
func subject(t testing.TB, redis *server, options ...Option) *suite.Subject {
	names := make([]string, 12)
	for i := range names {
		names[i] = fmt.Sprint("key ", i)
	}
	trace := 0
	return &suite.Subject{
		Lease: DefaultLease, OneClock: true,
		New: func(r *rapid.T, settings *suite.Settings) (suite.Limiter, []string) {
			trace++
			all := append([]Option{
				withClock(settings.Clock), WithZone(settings.Zone), WithEntries(settings.Entries),
				WithPrefix(fmt.Sprint("trace", trace)), WithTimeout(DefaultLease), logged(t),
			}, options...)
			if settings.Strict {
				all = append(all, WithStrict())
			}
			store, err := Open(context.Background(), Server{Addresses: []string{redis.Socket}}, all...)
			if err != nil {
				r.Fatal(err)
			}
			r.Cleanup(func() { store.Close() })
			return suite.Twins(limiter.New(settings.Options()...), flushed{store}), names
		},
	}
}

// Every decision, wait, hint and figure is that of the oracle, and exactly that of the
// limiter in memory.
func TestStoreAgreesWithTheOracleAndWithMemory(t *testing.T) {
	subject(t, startServer(t), planted()...).Run(t)
}
