package redisstore

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstockhq/penstock/internal/needs"
)

// server is a Redis of a test's own.
type server struct {
	t       testing.TB
	socket  string
	options []string
	command *exec.Cmd
}

// startServer starts a Redis that listens on a unix socket and keeps nothing on disk.
func startServer(t testing.TB, options ...string) *server {
	t.Helper()
	needs.Program(t, "redis-server")
	directory, err := os.MkdirTemp("", "penstock-redis-") // a short path: sockets need one
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, socket: filepath.Join(directory, "redis.sock")}
	s.options = append([]string{
		"--port", "0", "--unixsocket", s.socket, "--dir", directory, "--save", "", "--appendonly", "no", "--loglevel", "warning",
	}, options...)
	s.start()
	t.Cleanup(func() {
		s.kill()
		os.RemoveAll(directory)
	})
	return s
}

func (s *server) start() {
	s.t.Helper()
	os.Remove(s.socket)
	s.command = exec.Command("redis-server", s.options...)
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 500 {
		if connection, err := net.Dial("unix", s.socket); err == nil {
			connection.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("redis-server does not start")
}

// kill ends the server as a crash would.
func (s *server) kill() {
	_ = s.command.Process.Kill()
	_ = s.command.Wait()
}

// client returns a client of the test itself.
func (s *server) client() *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: s.socket, Network: "unix", DisableIdentity: true})
	s.t.Cleanup(func() { client.Close() })
	return client
}

// open opens a store on the server.
func (s *server) open(options ...Option) *Store {
	s.t.Helper()
	store, err := Open(context.Background(), Server{Addresses: []string{s.socket}}, options...)
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
