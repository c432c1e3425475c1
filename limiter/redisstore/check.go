package redisstore

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/claim.lua
var claimSource string

// check finds out whether the server can keep the counters, and says that this store
// uses the prefix. Its error wraps ErrUnfit, or ErrUnavailable where that may pass.
func (s *Store) check(ctx context.Context) error {
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return checked(err)
	}
	s.learn(now)
	if cluster, ok := s.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, checkServer)
	} else {
		err = checkServer(ctx, s.client)
	}
	if err != nil {
		return checked(err)
	}
	return s.claim(ctx)
}

// infoReader is what reads the description of a server.
type infoReader interface {
	Info(ctx context.Context, sections ...string) *redis.StringCmd
}

func checkServer[C infoReader](ctx context.Context, client C) error {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return err
	}
	info := parseInfo(text)
	if version := info["redis_version"]; !atLeast(version, 6, 2) {
		return fmt.Errorf("%w: the server has version %s; it must be 6.2 or newer", ErrUnfit, version)
	}
	if policy := info["maxmemory_policy"]; info["maxmemory"] != "0" && policy != "noeviction" {
		return fmt.Errorf("%w: with maxmemory_policy %s the server forgets counters when its memory is full; set noeviction", ErrUnfit, policy)
	}
	return nil
}

// parseInfo reads lines of name:value.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// atLeast compares the first two numbers of a version.
func atLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	first, err := strconv.Atoi(parts[0])
	second, err2 := strconv.Atoi(parts[1])
	return err == nil && err2 == nil && (first > major || first == major && second >= minor)
}

// schema names what is kept under the prefix, and its version.
const schema = "penstock limiter 1"

// claimed is how long a store is taken to use a prefix after it said so.
const claimed = time.Hour

// settings are what all stores that share a prefix must agree about.
func (s *Store) settings() string {
	return fmt.Sprintf("%s zone=%s strict=%t entries=%d", schema, s.zone, s.strict, s.entries)
}

// claim finds out whether the prefix is free, or in use with the same settings.
func (s *Store) claim(ctx context.Context) error {
	key := s.prefix + ":settings"
	there, err := s.client.Eval(ctx, claimSource, []string{key}, s.settings(), claimed.Milliseconds()).Text()
	switch {
	case err != nil:
		return checked(err)
	case there == s.settings():
		return nil
	case strings.HasPrefix(there, schema+" "):
		return fmt.Errorf("%w: other gateways use the prefix %q with %s, this one has %s; restart them, or wait an hour, or use another prefix",
			ErrUnfit, s.prefix, strings.TrimPrefix(there, schema+" "), strings.TrimPrefix(s.settings(), schema+" "))
	default:
		return fmt.Errorf("%w: the prefix %q is in use by data of another program, or of another version; use another prefix", ErrUnfit, s.prefix)
	}
}

// passing are errors of a server that may be over soon.
var passing = []string{"LOADING", "READONLY", "OOM", "MISCONF", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS"}

// checked wraps an error of a check.
func checked(err error) error {
	if errors.Is(err, ErrUnfit) {
		return err
	}
	for _, prefix := range passing {
		if strings.Contains(err.Error(), prefix) {
			return unavailable(err)
		}
	}
	for _, known := range explanations {
		if strings.Contains(err.Error(), known.text) {
			return fmt.Errorf("%w: %s (%w)", ErrUnfit, known.meaning, err)
		}
	}
	return unavailable(err)
}
