package runtime

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/penstockhq/penstock/internal/replace"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limiter/redisstore"
	"github.com/penstockhq/penstock/middleware"
)

// Limiter is what the gates and the administration need of the limiter of an engine.
type Limiter interface {
	middleware.Limiter
	Inspect(ctx context.Context, request limiter.Request) (limiter.State, error)
	Close() error
}

// Redis says where the counters are that several gateways share. Without addresses they
// are in the memory of this process.
type Redis struct {
	Addresses                          string // separated by spaces
	SentinelMaster                     string
	Cluster                            bool
	Username, Password                 string
	SentinelUsername, SentinelPassword string
	Database                           int
	TLS                                bool
	CA                                 string // file of the certificates to trust; empty: those of the system
	Prefix                             string
	Timeout                            time.Duration
	Admit                              bool // calls while Redis is away
}

// connectPatience bounds how long a start waits for Redis.
const connectPatience = 5 * time.Second

// open connects to Redis.
func (r *Redis) open(ctx context.Context, settings *Settings, log *slog.Logger) (*redisstore.Store, error) {
	server := redisstore.Server{
		Addresses: strings.Fields(r.Addresses), Master: r.SentinelMaster, Cluster: r.Cluster,
		Username: r.Username, Password: r.Password,
		SentinelUsername: r.SentinelUsername, SentinelPassword: r.SentinelPassword, Database: r.Database,
	}
	var err error
	if server.TLS, err = r.tls(); err != nil {
		return nil, err
	}
	options := []redisstore.Option{
		redisstore.WithZone(settings.Zone), redisstore.WithPrefix(r.Prefix), redisstore.WithTimeout(r.Timeout), redisstore.WithLogger(log),
	}
	if settings.Strict {
		options = append(options, redisstore.WithStrict())
	}
	if settings.LogEntries > 0 {
		options = append(options, redisstore.WithEntries(settings.LogEntries))
	}
	if r.Admit {
		options = append(options, redisstore.WithOnError(redisstore.Admit))
	}
	redis.SetLogger(clientLog{log})
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	return redisstore.Open(ctx, server, options...)
}

// clientLog keeps what the client of Redis says of single connections out of the log,
// unless it is for debugging: the store says when Redis is away.
type clientLog struct{ log *slog.Logger }

func (l clientLog) Printf(_ context.Context, format string, values ...any) {
	l.log.Debug("redis client", "message", fmt.Sprintf(format, values...))
}

func (r *Redis) tls() (*tls.Config, error) {
	if !r.TLS {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CA != "" {
		text, err := os.ReadFile(r.CA)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls: %s holds no certificate", r.CA)
		}
	}
	return config, nil
}

// openLimiter opens the limiter: in memory with the counters of the last process, or in
// Redis.
func (e *Engine) openLimiter(ctx context.Context, log *slog.Logger) error {
	if e.Redis.Addresses != "" {
		shared, err := e.Redis.open(ctx, &e.Settings, LastingLog("penstock"))
		if err != nil {
			return fmt.Errorf("limiter: %w", err)
		}
		e.Limiter, e.shared = shared, shared
		e.Metrics.shared.store.Store(shared)
		return nil
	}
	e.memory = limiter.New(e.limiter()...)
	e.Limiter = e.memory
	if err := e.restoreCounters(ctx, log); err != nil {
		return errors.Join(fmt.Errorf("restoring the limits: %w", err), e.memory.Close())
	}
	return nil
}

// SharedLimits says whether gateways share the limits, whether they do so at the moment,
// and whether calls are refused while they do not.
func (e *Engine) SharedLimits() (shared, available, refuses bool) {
	if e.shared == nil {
		return false, true, false
	}
	return true, e.shared.Ready() == nil, !e.Redis.Admit
}

// sharedMetrics publish how the shared limits are.
type sharedMetrics struct {
	up, waiting, uncounted, lost *prometheus.Desc

	store atomic.Pointer[redisstore.Store] // nil: limits are not shared
}

func newSharedMetrics() *sharedMetrics {
	return &sharedMetrics{
		up: prometheus.NewDesc("penstock_limiter_redis_up",
			"1 if calls are counted in Redis, 0 while it is away.", nil, nil),
		waiting: prometheus.NewDesc("penstock_limiter_settlements_waiting",
			"Ended calls whose reservation Redis has not replaced yet by what they used.", nil, nil),
		uncounted: prometheus.NewDesc("penstock_limiter_uncounted_calls_total",
			"Calls that were admitted without limits while Redis was away.", nil, nil),
		lost: prometheus.NewDesc("penstock_limiter_settlements_lost_total",
			"Ended calls that Redis could not be told of in time: what they reserved stays charged.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *sharedMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, description := range []*prometheus.Desc{m.up, m.waiting, m.uncounted, m.lost} {
		descriptions <- description
	}
}

// Collect implements prometheus.Collector.
func (m *sharedMetrics) Collect(metrics chan<- prometheus.Metric) {
	store := m.store.Load()
	if store == nil {
		return
	}
	stats, up := store.Stats(), 0.0
	if stats.Available {
		up = 1
	}
	metrics <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, up)
	metrics <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, float64(stats.Waiting))
	metrics <- prometheus.MustNewConstMetric(m.uncounted, prometheus.CounterValue, float64(stats.Uncounted))
	metrics <- prometheus.MustNewConstMetric(m.lost, prometheus.CounterValue, float64(stats.Lost))
}

// Interface guards
var (
	_ prometheus.Collector = (*sharedMetrics)(nil)
	_ Limiter              = (*limiter.Memory)(nil)
	_ Limiter              = (*redisstore.Store)(nil)
)

// restoreCounters brings the limiter to where the last process left it. After a
// clean stop there is a file with its counters. What the file lacks is counted again
// from the charges in the ledger; after any other stop that is everything.
func (e *Engine) restoreCounters(ctx context.Context, log *slog.Logger) error {
	name := filepath.Join(e.store.Folder(), CountersFile)
	if err := e.importCounters(name, log); err != nil {
		return err
	}
	var failure error
	calls := func(yield func(limiter.PastCall) bool) {
		failure = e.Ledger.SettledSince(ctx, e.memory.RestoreSince(), func(past ledger.Settled) error {
			call := limiter.PastCall{
				Key: past.KeyID, Model: past.Model, At: past.At,
				Tokens: limiter.Tokens{Input: past.InputTokens, Output: past.OutputTokens},
			}
			if !yield(call) {
				return context.Canceled
			}
			return nil
		})
	}
	return errors.Join(e.memory.Restore(calls), failure)
}

// importCounters reads the file and removes it. If it stayed and this process
// crashed, the next one would start from counters that are long out of date.
func (e *Engine) importCounters(name string, log *slog.Logger) error {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = e.memory.Import(bufio.NewReader(file))
	if errors.Is(err, limiter.ErrSnapshot) {
		log.Warn("the counters of the limits cannot be read: they are rebuilt from the ledger", "file", name, "error", err)
		err = nil
	}
	return errors.Join(err, file.Close(), os.Remove(name))
}

// saveCounters writes the file, unless the counters are elsewhere. The limiter is closed,
// so nothing counts any more.
func (e *Engine) saveCounters() error {
	if e.memory == nil {
		return nil
	}
	return replace.File(filepath.Join(e.store.Folder(), CountersFile), func(file *os.File) error {
		buffered := bufio.NewWriter(file)
		return errors.Join(e.memory.Export(buffered), buffered.Flush())
	})
}
