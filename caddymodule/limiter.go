package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
)

// Limiter sets how calls are counted towards limits. Like a time zone, a change
// takes effect when the process is restarted.
type Limiter struct {
	// Whether a call keeps all tokens that it reserved until it ends, and counts what
	// it used in the minute of its end. Then `tpm` also bounds the tokens that are
	// produced in any minute, and not only those that are admitted, but long calls
	// occupy their tokens for as long as they run. Default: false.
	Strict bool `json:"strict,omitempty"`

	// How many scopes are counted at the same time: keys, and keys' uses of a model.
	// Further ones share a counter, and are limited together. Default: `4194304`,
	// which take up to half a GiB.
	MaxScopes int `json:"max_scopes,omitempty"`

	// How many entries of 8 bytes the log of a scope has, a power of two from 64 to
	// 32768. A busy scope merges neighbours, which then leave the minute late, by up
	// to 2/n of it. Default: `1024`, or 117 ms.
	LogEntries int `json:"log_entries,omitempty"`

	// A Redis or Valkey that keeps the counters of several gateways, which then hold
	// callers to the same limits together. Credits are not shared: they stay in the
	// ledger of each gateway. Default: the counters are in the memory of this process.
	Redis *Redis `json:"redis,omitempty"`
}

const (
	minLogEntries = 64
	maxLogEntries = 32768
)

// limiterOptions lists the words of the block limiter, for error messages.
var limiterOptions = []string{"strict", "max_scopes", "log_entries", "redis"}

// validate checks the values. A nil Limiter is valid.
func (l *Limiter) validate() error {
	switch {
	case l == nil:
		return nil
	case l.MaxScopes < 0:
		return fmt.Errorf("max_scopes: %d is negative", l.MaxScopes)
	case l.LogEntries != 0 && (l.LogEntries < minLogEntries || l.LogEntries > maxLogEntries || l.LogEntries&(l.LogEntries-1) != 0):
		return fmt.Errorf("log_entries: %d is not a power of two from %d to %d", l.LogEntries, minLogEntries, maxLogEntries)
	}
	if err := l.Redis.validate(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// unmarshal reads the block.
func (l *Limiter) unmarshal(d *caddyfile.Dispenser) error {
	if err := noArgument(d); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("limiter: %s is already specified", option)
		}
		seen[option] = true
		var err error
		switch option {
		case "strict":
			l.Strict, err = true, noArgument(d)
		case "max_scopes":
			err = oneWhole(d, &l.MaxScopes)
		case "log_entries":
			err = oneWhole(d, &l.LogEntries)
		case "redis":
			l.Redis = new(Redis)
			err = l.Redis.unmarshal(d)
		default:
			err = unknown(d, "option of limiter", limiterOptions)
		}
		if err != nil {
			return err
		}
		if err := l.validate(); err != nil {
			return d.Errf("limiter: %w", err)
		}
	}
	return nil
}

// Redis says where the counters are that several gateways share, and what happens while
// they cannot be reached. Like a time zone, a change takes effect when the process is
// restarted. All gateways that share counters need the same `zone`, `strict` and
// `log_entries`; one that differs does not start.
type Redis struct {
	// The address of the server, `host:port` or the path of a unix socket; those of the
	// Sentinels, with `sentinel_master`; or those of some nodes of a Cluster. Placeholders
	// such as `{env.REDIS_ADDRESS}` are replaced. Default: none, one is needed.
	Addresses []string `json:"addresses,omitempty"`

	// The user. Placeholders are replaced. Default: the server's default user.
	Username string `json:"username,omitempty"`

	// The password. Placeholders such as `{env.REDIS_PASSWORD}` and
	// `{file./run/secrets/redis}` are replaced, and keep it out of the configuration.
	// Default: none.
	Password string `json:"password,omitempty"`

	// The number of the database. Default: `0`.
	Database int `json:"database,omitempty"`

	// Whether the connections are encrypted. Default: false.
	TLS bool `json:"tls,omitempty"`

	// The file of the certificates to trust, in PEM. Default: those of the system.
	TLSCA string `json:"tls_ca,omitempty"`

	// The name that the Sentinels know the server by. Default: there are no Sentinels.
	SentinelMaster string `json:"sentinel_master,omitempty"`

	// The user at the Sentinels. Placeholders are replaced. Default: their default user.
	SentinelUsername string `json:"sentinel_username,omitempty"`

	// The password at the Sentinels. Placeholders are replaced. Default: none.
	SentinelPassword string `json:"sentinel_password,omitempty"`

	// Whether the addresses are those of a Redis Cluster. Default: false, unless there
	// are several addresses and no `sentinel_master`.
	Cluster bool `json:"cluster,omitempty"`

	// What the names of all keys in Redis begin with, before a colon. Gateways share
	// limits if they share the prefix. Default: `penstock`.
	Prefix string `json:"prefix,omitempty"`

	// How long a call waits for Redis at most. Default: `50ms`.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What happens to calls while Redis is away: `deny` answers them with 503, `open`
	// admits them without any limit. Default: `deny`.
	OnError string `json:"on_error,omitempty"`
}

// What OnError may be.
const (
	onErrorDeny = "deny"
	onErrorOpen = "open"
)

// redisOptions lists the words of the block redis, for error messages.
var redisOptions = []string{
	"username", "password", "database", "tls", "sentinel_master", "sentinel_username", "sentinel_password", "cluster", "prefix", "timeout", "on_error",
}

// maxRedisTimeout bounds what every call may wait.
const maxRedisTimeout = 10 * time.Second

// validate checks the values. A nil Redis is valid. No error shows a password.
func (r *Redis) validate() error {
	if r == nil {
		return nil
	}
	if len(r.Addresses) == 0 {
		return errors.New("an address is missing, for example: redis localhost:6379")
	}
	for _, address := range r.Addresses {
		if err := validateRedisAddress(address); err != nil {
			return err
		}
	}
	switch {
	case r.Cluster && r.SentinelMaster != "":
		return errors.New("cluster and sentinel_master exclude each other")
	case r.SentinelMaster == "" && (r.SentinelUsername != "" || r.SentinelPassword != ""):
		return errors.New("sentinel_username and sentinel_password need sentinel_master")
	case r.Username != "" && r.Password == "":
		return errors.New("username needs password")
	case r.Database < 0:
		return fmt.Errorf("database: %d is negative", r.Database)
	case r.Database != 0 && (r.Cluster || r.SentinelMaster == "" && len(r.Addresses) > 1):
		return errors.New("database: a cluster has only database 0")
	case r.TLSCA != "" && !r.TLS:
		return errors.New("tls_ca needs tls")
	case strings.ContainsAny(r.Prefix, "{}"):
		return fmt.Errorf("prefix: %q must not hold braces, which choose the node of a cluster", r.Prefix)
	case r.Timeout < 0 || time.Duration(r.Timeout) > maxRedisTimeout:
		return fmt.Errorf("timeout: %s is not between 0 and %s", time.Duration(r.Timeout), maxRedisTimeout)
	case r.OnError != "" && r.OnError != onErrorDeny && r.OnError != onErrorOpen:
		return fmt.Errorf("on_error: unknown value %s", suggest(r.OnError, []string{onErrorDeny, onErrorOpen}))
	}
	return nil
}

// validateRedisAddress checks an address that is no placeholder. What looks like a URL may
// hold a password, so it is not shown.
func validateRedisAddress(address string) error {
	switch {
	case strings.HasPrefix(address, "{") || strings.HasPrefix(address, "/"):
		return nil
	case strings.Contains(address, "://") || strings.Contains(address, "@"):
		return errors.New("an address is host:port, not a URL; username, password and tls are options of the block")
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return fmt.Errorf("address %q is not host:port or the path of a unix socket, for example localhost:6379", address)
	}
	return nil
}

// provision replaces placeholders.
func (r *Redis) provision() error {
	if r == nil {
		return nil
	}
	values := map[string]*string{
		"username": &r.Username, "password": &r.Password,
		"sentinel_username": &r.SentinelUsername, "sentinel_password": &r.SentinelPassword,
	}
	for i := range r.Addresses {
		values[fmt.Sprintf("address %d", i+1)] = &r.Addresses[i]
	}
	replacer := caddy.NewReplacer()
	for name, value := range values {
		if *value == "" {
			continue
		}
		replaced, err := replacer.ReplaceOrErr(*value, true, true)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*value = strings.TrimSpace(replaced) // files of secrets end with a newline
	}
	return nil
}

// settings returns what the engine needs. A nil Redis is none.
func (r *Redis) settings() runtime.Redis {
	if r == nil {
		return runtime.Redis{}
	}
	return runtime.Redis{
		Addresses: strings.Join(r.Addresses, " "), SentinelMaster: r.SentinelMaster, Cluster: r.Cluster,
		Username: r.Username, Password: r.Password,
		SentinelUsername: r.SentinelUsername, SentinelPassword: r.SentinelPassword,
		Database: r.Database, TLS: r.TLS, CA: r.TLSCA,
		Prefix: r.Prefix, Timeout: time.Duration(r.Timeout), Admit: r.OnError == onErrorOpen,
	}
}

// unmarshal reads the addresses and the block. Syntax:
//
//	redis <address...> {
//	    username          <name>
//	    password          <password>
//	    database          <n>
//	    tls               [<file of certificates to trust>]
//	    sentinel_master   <name>
//	    sentinel_username <name>
//	    sentinel_password <password>
//	    cluster
//	    prefix            <text>
//	    timeout           <duration>
//	    on_error          deny|open
//	}
func (r *Redis) unmarshal(d *caddyfile.Dispenser) error {
	r.Addresses = d.RemainingArgs()
	if len(r.Addresses) == 0 {
		return d.Err("redis: an address is missing, for example: redis localhost:6379")
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("redis: %s is already specified", option)
		}
		seen[option] = true
		if err := r.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	return nil
}

func (r *Redis) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "username":
		return oneArgument(d, &r.Username)
	case "password":
		return oneSecret(d, &r.Password)
	case "database":
		return oneWhole(d, &r.Database)
	case "tls":
		r.TLS = true
		if d.CountRemainingArgs() == 0 {
			return nil
		}
		return oneArgument(d, &r.TLSCA)
	case "sentinel_master":
		return oneArgument(d, &r.SentinelMaster)
	case "sentinel_username":
		return oneArgument(d, &r.SentinelUsername)
	case "sentinel_password":
		return oneSecret(d, &r.SentinelPassword)
	case "cluster":
		r.Cluster = true
		return noArgument(d)
	case "prefix":
		return oneArgument(d, &r.Prefix)
	case "timeout":
		var text string
		if err := oneArgument(d, &text); err != nil {
			return err
		}
		duration, err := caddy.ParseDuration(text)
		if err != nil || duration <= 0 {
			return d.Errf("redis: timeout: %q is not a duration, for example 50ms", text)
		}
		r.Timeout = caddy.Duration(duration)
		return nil
	case "on_error":
		return oneOf(d, &r.OnError, onErrorDeny, onErrorOpen)
	}
	return unknown(d, "option of redis", redisOptions)
}

// oneSecret reads the only argument of an option, and shows nothing of it in an error.
func oneSecret(d *caddyfile.Dispenser, value *string) error {
	option := d.Val()
	if arguments := d.RemainingArgs(); len(arguments) == 1 && arguments[0] != "" {
		*value = arguments[0]
		return nil
	}
	return d.Errf("redis: %s: expected one value, for example: %s {env.REDIS_PASSWORD}", option, option)
}
