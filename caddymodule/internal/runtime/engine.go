package runtime

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/penstockhq/penstock/alerts"
	"github.com/penstockhq/penstock/caddymodule/internal/handover"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limiter/redisstore"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/admin"
	"github.com/penstockhq/penstock/middleware/forecast"
)

// Store is where a ledger is kept. The interface LedgerStore of package caddymodule says what
// each method promises.
type Store interface {
	Identity() string
	Open(ctx context.Context) (ledger.Store, error)
	Folder() string
}

// Engine is what outlives a configuration: the open ledger, the limiter, and all that counts.
type Engine struct {
	Metrics  *Metrics
	Throttle *admin.Throttle  // a reload must not give an attacker new tries
	Runs     *middleware.Runs // calls in the background
	Forecast *forecast.Forecast

	// Set by Open.
	Ledger   *ledger.Ledger
	Accounts *handover.Accounts // the ledger, for gates
	Limiter  Limiter
	Alerts   *alerts.Monitor
	Settings

	memory *limiter.Memory   // the limiter, unless gateways share it
	shared *redisstore.Store // the limiter, if they do

	store     Store
	retention *retention
	socket    *socket // nil if there is none
	opening   sync.Once
	failure   error // of opening
	closing   sync.Once

	handedOver atomic.Bool // another process has the ledger
	tookOver   bool        // this one has it from another process

	mu      sync.Mutex
	current *Configuration // whose prices are in effect
}

// Open opens the ledger and the limiter, once. Provisioning a configuration must
// not do it, because checking a configuration provisions it too; starting it
// does, or the first call, as the servers may start first.
func (e *Engine) Open(settings Settings, log *slog.Logger) error {
	e.opening.Do(func() {
		ctx := context.Background() // an open ledger outlives the configuration
		e.Settings = settings
		if e.failure = e.openLedger(ctx, log); e.failure != nil {
			return
		}
		if e.failure = e.openLimiter(ctx, log); e.failure != nil {
			e.failure = errors.Join(e.failure, e.Ledger.Close(ctx))
			return
		}
		if e.Alerts, e.failure = e.watch(LastingLog("penstock")); e.failure != nil {
			e.failure = errors.Join(e.failure, e.Limiter.Close(), e.Ledger.Close(ctx))
			return
		}
		if err := recall(ctx, e.Ledger, e.Forecast); err != nil {
			log.Warn("the latest calls cannot be read: holds begin as for models that are not known", "error", err)
		}
		e.Metrics.head.ledger.Store(e.Ledger)
		e.retention = startRetention(e.Ledger, time.Now, LastingLog("penstock"))
		e.listen(log)
	})
	return e.failure
}

// lockPatience is how long opening waits for a ledger that this process, or the
// one before, is about to close.
const lockPatience = time.Second

func (e *Engine) openLedger(ctx context.Context, log *slog.Logger) error {
	store, running, err := e.takeStore(ctx, log)
	if err != nil {
		return err
	}
	e.Ledger, err = ledger.Open(ctx, store, append(e.Settings.ledger(),
		ledger.WithEvents(observeLedger(LastingLog("penstock"))), ledger.WithRunning(running))...)
	e.Accounts = &handover.Accounts{Ledger: e.Ledger, Logger: LastingLog("penstock")}
	return err
}

// observeLedger logs what an operator has to know about the ledger.
func observeLedger(log *slog.Logger) func(ledger.Event) {
	return func(event ledger.Event) {
		attributes := []any{
			"kind", event.Kind.String(), "account", event.Account, "key_id", event.KeyID, "amount", event.Amount.String(),
		}
		if event.Kind == ledger.EventFailed {
			log.Error("the ledger cannot write: no call is admitted any more", append(attributes, "error", event.Err)...)
			return
		}
		log.Warn("ledger event", attributes...)
	}
}

// watch starts the monitor, which lives as long as the ledger so that a reload
// sends nothing twice.
func (e *Engine) watch(log *slog.Logger) (*alerts.Monitor, error) {
	return alerts.New(admin.NewLevels(e.Ledger, e.Limiter, nil), alerts.WithLogger(log),
		alerts.WithStateFile(filepath.Join(e.store.Folder(), alertsFile)))
}

// closePatience bounds how long closing waits for the disk.
const closePatience = 30 * time.Second

// Destruct implements caddy.Destructor: it saves the limiter's counters and
// closes the ledger.
func (e *Engine) Destruct() error {
	var err error
	e.closing.Do(func() {
		// An engine that was never opened cannot be opened from here on.
		e.opening.Do(func() { e.failure = ledger.ErrUnavailable })
		if e.failure != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), closePatience)
		defer cancel()
		if e.HandedOver() {
			err = e.Runs.Wait(ctx)
			e.socket.abandon()
			return
		}
		// Calls in the background end first, so that they are charged. Then nothing
		// counts any more, and what was counted can be saved.
		if e.socket != nil {
			err = e.socket.close()
		}
		err = errors.Join(err, e.Runs.Wait(ctx))
		e.Alerts.Close()
		e.retention.close()
		err = errors.Join(err, e.Limiter.Close(), e.saveCounters(), e.Ledger.Close(ctx))
	})
	return err
}

// Identity names the place where the ledger is kept.
func (e *Engine) Identity() string { return e.store.Identity() }

// Shares returns how many configurations hold the engine.
func (e *Engine) Shares() int {
	shares, _ := engines.References(e.Identity())
	return shares
}

// Interface guards
var _ caddy.Destructor = (*Engine)(nil)
