package runtime

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/admin"
	"github.com/penstockhq/penstock/middleware/forecast"
)

// engines holds the engines of this process by the identity of their ledger, so
// that a new configuration finds what the old one counted.
var engines = caddy.NewUsagePool()

// closing counts the engines that are being closed, which are not in the pool any more.
var closing atomic.Int64

func init() {
	// Once for the process: Caddy keeps every function it is given.
	caddy.OnExit(flush)
}

// Acquire returns the engine of a store, and a lease on it. The engine is not open yet.
func Acquire(store Store) (*Engine, *Lease, error) {
	identity := store.Identity()
	value, _, err := engines.LoadOrNew(identity, func() (caddy.Destructor, error) {
		return &Engine{
			store: store, Metrics: newMetrics(), Throttle: admin.NewThrottle(),
			Runs: middleware.NewRuns(middleware.DefaultMaxRuns), Forecast: forecast.New(),
		}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	release := func() {
		closing.Add(1)
		defer closing.Add(-1)
		if _, err := engines.Delete(identity); err != nil {
			LastingLog("penstock").Error("closing the ledger", "error", err)
		}
	}
	return value.(*Engine), newLease(release, renewal(engines, identity, value, release)), nil
}

// Engines calls yield for each engine that is held, until it returns false.
func Engines(yield func(*Engine) bool) {
	engines.Range(func(_, value any) bool { return yield(value.(*Engine)) })
}

// EnginesLeft counts the engines that are not closed yet.
func EnginesLeft() int {
	left := 0
	engines.Range(func(any, any) bool { left++; return true })
	return left + int(closing.Load()) // in this order: no engine is missed between
}

// flush closes what is still open when the process ends: engines whose calls
// outlived the grace period.
func flush(context.Context) {
	const patience = 5 * time.Second
	for start := time.Now(); time.Since(start) < patience; time.Sleep(10 * time.Millisecond) {
		if EnginesLeft() == 0 {
			return
		}
	}
	engines.Range(func(identity, value any) bool {
		if err := value.(*Engine).Destruct(); err != nil {
			caddy.Log().Named("penstock").Error("closing " + identity.(string) + ": " + err.Error())
		}
		return true
	})
}
