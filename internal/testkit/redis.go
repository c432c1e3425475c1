package testkit

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/needs"
)

// Redis is a Redis server of a test's own. It listens on a unix socket alone, and keeps
// nothing on disk.
type Redis struct {
	Socket  string
	Process *os.Process // of the running server

	t       testing.TB
	options []string
	command *exec.Cmd
}

// StartRedis starts a server with options beside its own. It ends with the test.
func StartRedis(t testing.TB, options ...string) *Redis {
	t.Helper()
	needs.Program(t, "redis-server")
	folder, err := os.MkdirTemp("", "penstock-redis-") // a short path: sockets need one
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{t: t, Socket: filepath.Join(folder, "redis.sock")}
	r.options = append([]string{
		"--port", "0", "--unixsocket", r.Socket, "--dir", folder, "--save", "", "--appendonly", "no", "--loglevel", "warning",
	}, options...)
	r.Start()
	t.Cleanup(func() {
		r.Kill()
		os.RemoveAll(folder)
	})
	return r
}

// Start starts the server again after Kill, and waits until it answers.
func (r *Redis) Start() {
	r.t.Helper()
	os.Remove(r.Socket)
	r.command = exec.Command("redis-server", r.options...)
	if err := r.command.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.Process = r.command.Process
	for range 1000 {
		if connection, err := net.Dial("unix", r.Socket); err == nil {
			connection.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatal("redis-server does not start")
}

// Kill ends the server as a crash does.
func (r *Redis) Kill() {
	_ = r.command.Process.Kill()
	_ = r.command.Wait()
}
