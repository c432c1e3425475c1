package redisstore

import (
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstockhq/penstock/limiter"
)

// Server says where Redis is and how to speak to it.
type Server struct {
	// Addresses are host:port, or the path of a unix socket: of the server, of Sentinels
	// if Master is set, or of some nodes of a Cluster.
	Addresses []string
	Master    string // name that the Sentinels know the server by; empty: there are none
	Cluster   bool   // the addresses are those of a Redis Cluster, even if there is one

	Username, Password                 string
	SentinelUsername, SentinelPassword string
	Database                           int         // not with Cluster
	TLS                                *tls.Config // nil: no TLS
}

// OnError says what happens to calls while Redis is away.
type OnError uint8

// What happens to calls while Redis is away.
const (
	// Deny refuses them. Nothing is admitted over any limit.
	Deny OnError = iota
	// Admit admits them without counting them: there are no limits until Redis is back.
	Admit
)

// Defaults of the options.
const (
	DefaultPrefix  = "penstock"
	DefaultTimeout = 50 * time.Millisecond
	DefaultLease   = time.Hour
)

// maxLease is the longest that a call may stay in flight: counters of keys without calls
// are kept for twice as long.
const maxLease = 24 * time.Hour

// Option changes a setting of Open.
type Option func(*Store)

// WithZone sets the zone whose midnights end the day of RPD and TPD. The default
// is UTC, also for nil. All stores that share a prefix must have the same.
func WithZone(zone *time.Location) Option {
	return func(s *Store) {
		if zone != nil {
			s.zone = zone
		}
	}
}

// WithStrict does what limiter.WithStrict does. All stores that share a prefix must
// agree about it.
func WithStrict() Option { return func(s *Store) { s.strict = true } }

// WithEntries sets how many entries of 10 bytes the log of a counter has before
// neighbours are merged, as limiter.WithEntries does.
func WithEntries(n int) Option {
	return func(s *Store) {
		s.entries = 64
		for s.entries < min(n, 32768) {
			s.entries *= 2
		}
	}
}

// WithPrefix sets what the names of all Redis keys begin with, before a colon. Stores
// share counters if they share the prefix.
func WithPrefix(prefix string) Option {
	return func(s *Store) {
		if prefix != "" {
			s.prefix = prefix
		}
	}
}

// WithTimeout sets how long a caller waits for Redis at most, retries included. Values
// that are not positive mean DefaultTimeout.
func WithTimeout(timeout time.Duration) Option {
	return func(s *Store) {
		if timeout > 0 {
			s.timeout = timeout
		}
	}
}

// WithOnError sets what happens to calls while Redis is away. The default is Deny.
func WithOnError(do OnError) Option { return func(s *Store) { s.onError = do } }

// WithLogger sets where the store says that Redis is away, or back. The default is
// nowhere.
func WithLogger(logger *slog.Logger) Option { return func(s *Store) { s.logger = logger } }

// connect returns a client that never sends a command twice by itself.
func (s *Server) connect(timeout time.Duration) redis.UniversalClient {
	return redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: s.Addresses, MasterName: s.Master, IsClusterMode: s.Cluster,
		Username: s.Username, Password: s.Password,
		SentinelUsername: s.SentinelUsername, SentinelPassword: s.SentinelPassword,
		DB: s.Database, TLSConfig: s.TLS,
		MaxRetries:            -1, // retries are the store's own, under the id of the call
		ContextTimeoutEnabled: true,
		DialTimeout:           max(timeout, time.Second), DialerRetries: 1,
		ReadTimeout: max(timeout, time.Second), WriteTimeout: max(timeout, time.Second),
		PoolTimeout:     max(timeout, time.Second),
		ConnMaxIdleTime: 5 * time.Minute,
		DisableIdentity: true,
	})
}

// judgeOptions are the settings as the limiter's judge takes them.
func (s *Store) judgeOptions() []limiter.Option {
	options := []limiter.Option{limiter.WithZone(s.zone)}
	if s.strict {
		options = append(options, limiter.WithStrict())
	}
	return options
}
