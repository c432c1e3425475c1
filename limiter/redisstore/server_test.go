package redisstore

import (
	"context"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/penstockhq/penstock/internal/testkit"
)

// server is a Redis of a test's own.
type server struct {
	*testkit.Redis
	t testing.TB
}

func startServer(t testing.TB, options ...string) *server {
	t.Helper()
	return &server{testkit.StartRedis(t, options...), t}
}

// client returns a client of the test itself.
func (s *server) client() *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: s.Socket, Network: "unix", DisableIdentity: true})
	s.t.Cleanup(func() { client.Close() })
	return client
}

// open opens a store on the server.
func (s *server) open(options ...Option) *Store {
	s.t.Helper()
	store, err := Open(context.Background(), Server{Addresses: []string{s.Socket}}, options...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { store.Close() })
	return store
}

// logged returns an option that logs to the test.
func logged(t testing.TB) Option {
	return WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil)))
}
