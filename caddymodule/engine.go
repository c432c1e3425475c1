package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/admin"
)

// engines holds the engines of this process by the identity of their ledger, so
// that a new configuration finds what the old one counted.
var engines = caddy.NewUsagePool()

// closing counts engines that are being closed: the pool forgets them before
// they are.
var closing atomic.Int64

// enginesLeft counts the engines that are not closed yet.
func enginesLeft() int {
	left := 0
	engines.Range(func(any, any) bool { left++; return true })
	return left + int(closing.Load()) // in this order: no engine is missed between
}

func init() {
	// Once for the process: Caddy keeps every function it is given.
	caddy.OnExit(flush)
}

// engine is what outlives a configuration: the open ledger and the limiter.
type engine struct {
	store    LedgerStore
	metrics  *metrics
	throttle *admin.Throttle // a reload must not give an attacker new tries

	opening sync.Once
	failure error // of opening
	ledger  *ledger.Ledger
	limiter *limiter.Memory
	runs    *middleware.Runs
	alerts  *alerts.Monitor
	zone    *time.Location

	closing sync.Once

	mu      sync.Mutex
	current *App // whose prices are in force
}

// acquireEngine returns the engine of a store, and a lease on it.
func acquireEngine(store LedgerStore) (*engine, *lease, error) {
	identity := store.Identity()
	value, _, err := engines.LoadOrNew(identity, func() (caddy.Destructor, error) {
		return &engine{
			store: store, metrics: newMetrics(), throttle: admin.NewThrottle(),
			runs: middleware.NewRuns(middleware.DefaultMaxRuns),
		}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	release := func() {
		closing.Add(1)
		defer closing.Add(-1)
		if _, err := engines.Delete(identity); err != nil {
			lastingLog("penstock").Error("closing the ledger", "error", err)
		}
	}
	return value.(*engine), newLease(release, renewal(engines, identity, value, release)), nil
}

// open opens the ledger and the limiter, once. Provisioning a configuration must
// not do it, because checking a configuration provisions it too; starting it
// does, or the first call, as the servers may start first.
func (e *engine) open(app *App) error {
	e.opening.Do(func() {
		ctx := context.Background() // an open ledger outlives the configuration
		e.zone = app.zone
		if e.failure = e.openLedger(ctx); e.failure != nil {
			return
		}
		e.limiter = limiter.New(limiter.WithZone(app.zone))
		if err := e.restoreLimits(ctx, app.log); err != nil {
			e.failure = errors.Join(fmt.Errorf("restoring the limits: %w", err), e.limiter.Close(), e.ledger.Close(ctx))
			return
		}
		if e.alerts, e.failure = e.watch(lastingLog("penstock")); e.failure != nil {
			e.failure = errors.Join(e.failure, e.limiter.Close(), e.ledger.Close(ctx))
		}
	})
	return e.failure
}

// lockPatience is how long opening waits for a ledger that this process, or the
// one before, is about to close.
const lockPatience = time.Second

func (e *engine) openLedger(ctx context.Context) error {
	store, err := e.store.Open(ctx)
	for start := time.Now(); errors.Is(err, sqlitestore.ErrLocked) && time.Since(start) < lockPatience; {
		time.Sleep(20 * time.Millisecond)
		store, err = e.store.Open(ctx)
	}
	if err != nil {
		return err
	}
	e.ledger, err = ledger.Open(ctx, store, ledger.WithZone(e.zone),
		ledger.WithEvents(observeLedger(lastingLog("penstock")), ledger.Thresholds{}))
	return err
}

// observeLedger logs what an operator has to know of the ledger.
func observeLedger(log *slog.Logger) func(ledger.Event) {
	return func(event ledger.Event) {
		attributes := []any{"kind", event.Kind.String(), "account", event.Account, "key_id", event.KeyID, "amount", event.Amount.String()}
		if event.Kind == ledger.EventFailed {
			log.Error("the ledger cannot write: nothing is admitted any more", append(attributes, "error", event.Err)...)
			return
		}
		log.Warn("ledger", attributes...)
	}
}

// apply puts the prices of a configuration into force and remembers the one
// before, in case the new configuration does not come up.
func (e *engine) apply(ctx context.Context, app *App) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if app.stopped {
		return errRetired
	}
	app.previous, e.current = e.current, app
	if err := e.setPrices(ctx, app); err != nil {
		return err
	}
	return app.notifier.use(e)
}

// stop is told that a configuration stops: because another one is in force, or
// because it did not come up itself. Then the prices before it come back.
func (e *engine) stop(ctx context.Context, app *App) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	app.stopped = true
	if e.current != app {
		if e.current != nil {
			e.current.previous = nil // it came up: there is no way back
		}
		return nil
	}
	e.current, app.previous = app.previous, nil
	if e.current == nil {
		return nil
	}
	return errors.Join(e.setPrices(ctx, e.current), e.current.notifier.use(e))
}

// setPrices makes the ledger's prices those of a configuration.
func (e *engine) setPrices(ctx context.Context, app *App) error {
	standard := new(Model)
	for _, name := range e.ledger.PricedModels() {
		// Names of paths are fixed costs, which belong to the gates.
		if app.Models[name] == nil && !strings.HasPrefix(name, "/") {
			price, _ := standard.price()
			if err := e.ledger.SetPrice(ctx, name, price); err != nil {
				return fmt.Errorf("model %s: %w", name, err)
			}
		}
	}
	for _, name := range app.modelNames() {
		model := app.Models[name]
		if model == nil {
			model = standard
		}
		price, err := model.price()
		if err == nil {
			err = e.ledger.SetPrice(ctx, name, price)
		}
		if err != nil {
			return fmt.Errorf("model %s: %w", name, err)
		}
	}
	for path, cost := range app.fixedCosts {
		if err := e.ledger.SetPrice(ctx, path, ledger.Price{Request: cost}); err != nil {
			return fmt.Errorf("fixed cost of %s: %w", path, err)
		}
	}
	return nil
}

// closePatience bounds how long closing waits for the disk.
const closePatience = 30 * time.Second

// Destruct implements caddy.Destructor: it saves the limiter's counters and
// closes the ledger.
func (e *engine) Destruct() error {
	var err error
	e.closing.Do(func() {
		// An engine that was never opened is opened by nobody from here on.
		e.opening.Do(func() { e.failure = ledger.ErrUnavailable })
		if e.failure != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		defer cancel()
		// Calls in the background end first, so that they are charged. Then nothing
		// counts any more, and what was counted can be saved.
		err = e.runs.Wait(ctx)
		e.alerts.Close()
		err = errors.Join(err, e.limiter.Close(), e.saveLimits(), e.ledger.Close(ctx))
	})
	return err
}

// flush closes what is still open when the process ends: engines whose calls
// outlived the grace period.
func flush(context.Context) {
	const patience = 5 * time.Second
	for start := time.Now(); time.Since(start) < patience; time.Sleep(10 * time.Millisecond) {
		if enginesLeft() == 0 {
			return
		}
	}
	engines.Range(func(identity, value any) bool {
		if err := value.(*engine).Destruct(); err != nil {
			caddy.Log().Named("penstock").Error("closing " + identity.(string) + ": " + err.Error())
		}
		return true
	})
}

// Interface guards
var _ caddy.Destructor = (*engine)(nil)
