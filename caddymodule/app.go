package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // so that zones are known where the machine has no database of them

	"github.com/caddyserver/caddy/v2"

	"github.com/penstockhq/penstock/caddymodule/balance"
	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
	"github.com/penstockhq/penstock/middleware/admin"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what all gates share: the ledger with its accounts and keys, the
// limiter's counters, the models with their prices, and the limits of new keys.
// It is configured by the global option `penstock`; without that option every
// field has its default.
//
// The ledger and the counters live as long as the process, across reloads of
// the configuration. Models, prices and default limits of a new configuration take
// effect at once; running calls keep the price they began with.
type App struct {
	// Where accounts, keys and charges are kept: a module of the namespace
	// `penstock.ledgers`. Default: `sqlite` in `./penstock-data`.
	LedgerRaw json.RawMessage `json:"ledger,omitempty" caddy:"namespace=penstock.ledgers inline_key=store"`

	// The time zone in which a day begins at midnight, for limits per day and for
	// usage per day: a name of the IANA database such as `Europe/Berlin`.
	// Default: `UTC`.
	Zone string `json:"zone,omitempty"`

	// The longest that the end of an answer waits for others, so that one write to
	// the disk serves them all. A call never waits longer than 1 % of the time it ran.
	// 0 turns the wait off. At most a second. Default: `10ms`.
	CommitWait *caddy.Duration `json:"commit_wait,omitempty"`

	// How long the ledger keeps its entries, in whole days or longer: at least `2d`.
	// Those of older days are removed for good. Balances, keys and usage by day stay.
	// Default: entries are kept for good.
	KeepEntries caddy.Duration `json:"keep_entries,omitempty"`

	// How calls are counted towards limits. Default: the defaults of its fields.
	Limiter *Limiter `json:"limiter,omitempty"`

	// What a stream is charged that ran when the process died: what its last
	// `checkpoint` says, nothing (`release`), or its whole hold (`full`). Other calls
	// are charged nothing. Default: `checkpoint`.
	OnCrash string `json:"on_crash,omitempty"`

	// The free disk space in bytes below which no call is admitted, so that the
	// charges of running calls find room. Default: 64 MiB.
	DiskReserve int64 `json:"disk_reserve,omitempty"`

	// Whether to take the ledger over from a process that has it open, such as the one that
	// this one replaces. The other one hands it over, ends once its calls have, and has
	// them settled here. Default: false; a second process on one ledger does not start.
	TakeOver bool `json:"take_over,omitempty"`

	// How many entries of the ledger come between two snapshots. Fewer make the next
	// start faster. Default: `50000`.
	SnapshotEvery int64 `json:"snapshot_every,omitempty"`

	// The limits of a key that is created without limits of its own.
	// Default: no limits.
	DefaultLimits *Limits `json:"default_limits,omitempty"`

	// The range in which an administrator may set each limit of a key, by the
	// limit's name: `rpm`, `tpm`, `rpd`, `tpd` or `max_in_flight`.
	// Default: any value.
	Bounds map[string]limits.Range `json:"bounds,omitempty"`

	// The models that callers may use, by name. Calls for other models are
	// answered with 404. Default: none are named, and every model may be used at
	// the default price.
	Models map[string]*Model `json:"models,omitempty"`

	// What to create in an empty ledger at the first start. `demo` creates an
	// account with 100 credits, an administrator's and a member's key, and writes
	// the two keys to the files `admin.key` and `demo.key` (mode 0600) in the
	// ledger's directory. Default: nothing is created.
	Bootstrap string `json:"bootstrap,omitempty"`

	// The SHA-256, in hexadecimal digits, of the text of an administrator's key
	// that manages every account. The key is not in the ledger: it is valid as long
	// as it is configured here. Placeholders such as `{env.PENSTOCK_ADMIN_KEY_SHA256}` are
	// replaced. Default: none.
	AdminKeySHA256 string `json:"admin_key_sha256,omitempty"`

	// The SHA-256, in hexadecimal digits, of the text of a member's key, whose
	// calls the account `default` pays for. The key is added to the ledger if it is
	// not there, and stays valid until it is revoked. Placeholders are replaced.
	// Default: none.
	KeySHA256 string `json:"key_sha256,omitempty"`

	// When to warn that a key or an account comes near a limit. Default: at 80 and
	// 100 percent, in the log, the metrics and Caddy's events.
	Alerts *Alerts `json:"alerts,omitempty"`

	zone          *time.Location
	log           *slog.Logger
	notifier      *runtime.Notifier
	engine        *runtime.Engine
	lease         *runtime.Lease         // nil until the engine was acquired
	configuration *runtime.Configuration // what this configuration sets there

	policies []*balance.Policy // of this configuration
	gates    []*Gate           // of this configuration
	ctx      caddy.Context

	beginning sync.Once
	failure   error // of beginning
}

// LedgerStore is a module of the namespace `penstock.ledgers`: it knows where a
// ledger is kept.
type LedgerStore interface {
	// Identity names the place. Two configurations with the same identity share
	// one ledger and one set of counters.
	Identity() string
	// Open opens the place. It is not called before the configuration starts. An
	// error that wraps ledger.ErrLocked is tried again for a moment: a reload may
	// be about to close the place.
	Open(ctx context.Context) (ledger.Store, error)
	// Folder is the directory that holds the files beside the ledger: key files
	// and the limiter's counters.
	Folder() string
}

// CaddyModule implements caddy.Module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "penstock", New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner. It opens no file: `caddy validate`
// provisions too.
func (a *App) Provision(ctx caddy.Context) error {
	if a.LedgerRaw == nil {
		a.LedgerRaw = json.RawMessage(`{"store":"sqlite"}`)
	}
	store, err := ctx.LoadModule(a, "LedgerRaw")
	if err != nil {
		return fmt.Errorf("loading the ledger's store: %w", err)
	}
	if a.zone, err = limiter.ParseZone(a.Zone); err != nil {
		return err
	}
	for _, option := range a.hashes() {
		if *option.hash, err = caddy.NewReplacer().ReplaceOrErr(*option.hash, true, true); err != nil {
			return fmt.Errorf("%s: %w", option.name, err)
		}
	}
	if a.Limiter != nil {
		if err := a.Limiter.Redis.provision(); err != nil {
			return fmt.Errorf("limiter: redis: %w", err)
		}
	}
	a.log, a.ctx = ctx.Slogger(), ctx
	if a.notifier, err = a.Alerts.notifier(ctx, a.log); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	if a.engine, a.lease, err = runtime.Acquire(store.(LedgerStore)); err != nil {
		return err
	}
	a.configuration = &runtime.Configuration{
		DefaultPrice: defaultPrice, FixedCosts: make(map[string]ledger.Micro), Notifier: a.notifier,
		CommitWait: ledger.DefaultCommitWait, KeepEntries: time.Duration(a.KeepEntries),
	}
	if a.CommitWait != nil {
		a.configuration.CommitWait = time.Duration(*a.CommitWait)
	}
	if err := ctx.GetMetricsRegistry().Register(balance.NewCollector(func() []*balance.Policy { return a.policies })); err != nil {
		return err
	}
	return a.engine.Metrics.Register(ctx.GetMetricsRegistry())
}

// begin opens the ledger if it is not open yet and puts the configuration into
// effect, once. Starting the app does it, or the first call: Caddy starts its apps in
// no order, so a server may take calls while the app still waits, for a model to be
// loaded perhaps, and those calls must not run at the prices of before.
func (a *App) begin() error {
	a.beginning.Do(func() {
		if a.failure = a.engine.Open(a.settings(), a.log); a.failure == nil {
			a.failure = a.enforce(context.Background())
		}
	})
	return a.failure
}

// Start implements caddy.App.
func (a *App) Start() error {
	if err := a.begin(); err != nil {
		// Caddy stops only the apps that did start.
		return errors.Join(err, a.Stop())
	}
	settings := a.settings()
	if changed := a.engine.Changed(&settings); len(changed) > 0 {
		a.log.Warn("new values of some options take effect when the process is restarted", "options", changed)
	}
	a.announce()
	a.warnOfSharing()
	return nil
}

// settings returns what holds for as long as the process lives.
func (a *App) settings() runtime.Settings {
	settings := runtime.Settings{Zone: a.zone, DiskReserve: a.DiskReserve, SnapshotEvery: a.SnapshotEvery, TakeOver: a.TakeOver}
	if a.OnCrash != "" {
		settings.OnCrash, _ = ledger.ParseCrashPolicy(a.OnCrash) // Validate has
	}
	if a.Limiter != nil {
		settings.Strict, settings.MaxScopes, settings.LogEntries = a.Limiter.Strict, a.Limiter.MaxScopes, a.Limiter.LogEntries
		settings.Redis = a.Limiter.Redis.settings()
	}
	return settings
}

// enforce puts the configuration into effect.
func (a *App) enforce(ctx context.Context) error {
	var err error
	if a.configuration.Prices, err = a.prices(); err != nil {
		return err
	}
	if hash, ok := a.engine.SocketKey(); ok {
		options := append(a.administration(), admin.WithAdminKeySHA256(hash))
		a.configuration.Administration = admin.New(a.engine.Ledger, a.engine.Limiter, options...)
	}
	a.configuration.Listens = a.listenAddresses()
	if err := a.engine.Apply(ctx, a.configuration); err != nil {
		return err
	}
	if a.Bootstrap == bootstrapDemo {
		if err := a.engine.Bootstrap(ctx, a.keyLimits(), a.log); err != nil {
			return fmt.Errorf("bootstrap %s: %w", a.Bootstrap, err)
		}
	}
	return a.importKey(ctx)
}

// Stop implements caddy.App. Calls may still run: the ledger stays open for them.
func (a *App) Stop() error { return a.engine.Stop(context.Background(), a.configuration) }

// Cleanup implements caddy.CleanerUpper. It also follows a Provision that failed,
// and a start of the other apps that failed before it was this one's turn.
func (a *App) Cleanup() (err error) {
	if a.lease != nil {
		err = a.Stop()
		a.lease.Retire()
	}
	if a.notifier != nil {
		a.notifier.Close()
	}
	return err
}

// validateSettings checks what holds for as long as the process lives.
func (a *App) validateSettings() error {
	if a.OnCrash != "" {
		if _, err := ledger.ParseCrashPolicy(a.OnCrash); err != nil {
			return err
		}
	}
	switch {
	case a.DiskReserve < 0:
		return fmt.Errorf("disk_reserve: %d is negative", a.DiskReserve)
	case a.SnapshotEvery < 0:
		return fmt.Errorf("snapshot_every: %d is negative", a.SnapshotEvery)
	}
	return nil
}

// maxCommitWait bounds what every answer of a long call waits for.
const maxCommitWait = time.Second

// validateCommitWait checks the longest wait of a commit, nil if none is configured.
func validateCommitWait(wait *caddy.Duration) error {
	if wait != nil && (*wait < 0 || time.Duration(*wait) > maxCommitWait) {
		return fmt.Errorf("commit_wait: %s is not between 0 and %s", time.Duration(*wait), maxCommitWait)
	}
	return nil
}

// minKeepEntries is what the limits per day need at a start, wherever midnight is.
const minKeepEntries = 48 * time.Hour

// validateKeepEntries checks how long entries are kept; 0 is for good.
func validateKeepEntries(keep caddy.Duration) error {
	if keep != 0 && time.Duration(keep) < minKeepEntries {
		return fmt.Errorf("keep_entries: %s is less than 2d", time.Duration(keep))
	}
	return nil
}

// Validate implements caddy.Validator.
func (a *App) Validate() error {
	if a.DefaultLimits != nil {
		if err := a.DefaultLimits.validate(a.Bounds); err != nil {
			return fmt.Errorf("default_limits: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.Bounds)) {
		if err := validateBound(name, a.Bounds[name]); err != nil {
			return fmt.Errorf("bounds: %w", err)
		}
	}
	if err := validateCommitWait(a.CommitWait); err != nil {
		return err
	}
	if err := validateKeepEntries(a.KeepEntries); err != nil {
		return err
	}
	if err := a.validateSettings(); err != nil {
		return err
	}
	if err := a.Limiter.validate(); err != nil {
		return fmt.Errorf("limiter: %w", err)
	}
	if err := a.validateModels(); err != nil {
		return err
	}
	if a.Alerts != nil {
		if err := a.Alerts.validate(); err != nil {
			return fmt.Errorf("alerts: %w", err)
		}
	}
	for _, option := range a.hashes() {
		if _, err := parseHash(*option.hash); *option.hash != "" && err != nil {
			return fmt.Errorf("%s: %w", option.name, err)
		}
	}
	if a.Bootstrap != "" && a.Bootstrap != bootstrapDemo {
		return fmt.Errorf("bootstrap: unknown value %q; known: %s", a.Bootstrap, bootstrapDemo)
	}
	return nil
}

// bootstrapDemo is the value of App.Bootstrap that creates the demo keys.
const bootstrapDemo = "demo"

// claimFixedCosts adds the fixed costs of a gate. The ledger has one price for
// a path, so two gates cannot differ about it.
func (a *App) claimFixedCosts(costs map[string]ledger.Micro) error {
	for _, path := range slices.Sorted(maps.Keys(costs)) {
		cost := costs[path]
		if known, ok := a.configuration.FixedCosts[path]; ok && known != cost {
			return fmt.Errorf("fixed cost of %s: %s here and %s in another gate; a path has one price", path, cost, known)
		}
		if _, ok := a.Models[path]; ok {
			return fmt.Errorf("fixed cost of %s: a model of that name has a price already", path)
		}
		a.configuration.FixedCosts[path] = cost
	}
	return nil
}

// keyLimits returns the limits of a key that is created without any.
func (a *App) keyLimits() []limits.Row {
	if a.DefaultLimits == nil {
		return nil
	}
	return []limits.Row{*a.DefaultLimits.row()}
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.Validator    = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
