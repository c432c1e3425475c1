package runtime

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/penstockhq/penstock/caddymodule/internal/handover"
	"github.com/penstockhq/penstock/middleware"
)

// SocketFile is the Unix socket at which the process that has the ledger open serves its
// administration to commands on the same machine. Whoever may open it may also open the
// ledger when no process runs, so it asks for no key.
const SocketFile = "admin.sock"

// longestSocketPath is shorter than the shortest limit of all systems, in bytes.
const longestSocketPath = 100

// socket serves the administration of the configuration in effect.
type socket struct {
	path    string
	release func()
	server  *http.Server
	ended   chan struct{}
	key     string // what a request without a key gets
	handler atomic.Pointer[http.Handler]
	peers   http.HandlerFunc // for other processes; nil: none
}

// SocketPath returns a path of the socket in a folder that is short enough for the
// system, and a function that ends its validity.
func SocketPath(folder string) (path string, release func(), err error) {
	path = filepath.Join(folder, SocketFile)
	if len(path) <= longestSocketPath {
		return path, func() {}, nil
	}
	if goruntime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path of the socket %s is too long for the system", path)
	}
	directory, err := os.Open(folder)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", directory.Fd(), SocketFile), func() { directory.Close() }, nil
}

// newSocket listens in the folder of a ledger, which the caller holds the lock of. What a
// killed process left there is replaced.
// peers serves other processes that take the ledger over.
func newSocket(folder string, peers http.HandlerFunc) (*socket, error) {
	path, release, err := SocketPath(folder)
	if err != nil {
		return nil, err
	}
	listener, err := listenPrivately(path)
	if err != nil {
		release()
		return nil, err
	}
	s := &socket{path: path, release: release, ended: make(chan struct{}), key: rand.Text(), peers: peers}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.ended)
		// It always ends with an error: that the server was closed.
		_ = s.server.Serve(listener)
	}()
	return s, nil
}

// listenPrivately makes a socket that only its owner can open, at no moment anybody else.
func listenPrivately(path string) (net.Listener, error) {
	private, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	listener, err := net.Listen("unix", made)
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // close removes it at its place
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

// hash returns the SHA-256 of the key that requests without one are given.
func (s *socket) hash() [32]byte { return sha256.Sum256([]byte(s.key)) }

// ServeHTTP implements http.Handler.
func (s *socket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.peers != nil && (r.URL.Path == handover.Path || strings.HasPrefix(r.URL.Path, handover.Path+"/")) {
		s.peers(w, r)
		return
	}
	handler := s.handler.Load()
	if handler == nil {
		http.Error(w, "the instance is about to start or to stop", http.StatusServiceUnavailable)
		return
	}
	if middleware.Credential(r.Header) == "" {
		r.Header.Set("Authorization", "Bearer "+s.key)
	}
	(*handler).ServeHTTP(w, r)
}

// abandon ends the socket, whose place belongs to another process.
func (s *socket) abandon() {
	s.server.Close()
	<-s.ended
	s.release()
}

// close ends the socket. Calls that run are cut.
func (s *socket) close() error {
	err := errors.Join(os.Remove(s.path), s.server.Close())
	<-s.ended
	s.release()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // someone else has cleaned up
	}
	return err
}

// listen opens the socket. An instance without it works: commands then need the address
// of its administration, and a key.
func (e *Engine) listen(log *slog.Logger) {
	var err error
	if e.socket, err = newSocket(e.store.Folder(), e.serveHandOver); err != nil {
		log.Warn("commands cannot find this instance by its data directory; give them --address",
			"directory", e.store.Folder(), "error", err)
	}
}

// SocketKey returns the SHA-256 of the key of those who come through the socket. It is
// false if there is no socket.
func (e *Engine) SocketKey() ([32]byte, bool) {
	if e.socket == nil {
		return [32]byte{}, false
	}
	return e.socket.hash(), true
}

// administer lets the socket serve the administration of the configuration in effect.
// The caller holds the engine's lock.
func (e *Engine) administer() {
	switch {
	case e.socket == nil:
	case e.current == nil || e.current.Administration == nil:
		e.socket.handler.Store(nil)
	default:
		e.socket.handler.Store(&e.current.Administration)
	}
}

// Dial connects to the instance that has the ledger in a folder open. It fails if none
// runs there, or one without a socket.
func Dial(ctx context.Context, folder string) (net.Conn, error) {
	path, release, err := SocketPath(folder)
	if err != nil {
		return nil, err
	}
	defer release()
	return new(net.Dialer).DialContext(ctx, "unix", path)
}
