package runtime

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/penstockhq/penstock/gpubackend"
)

// backends holds the loaded backends of this process by their configuration.
var backends = caddy.NewUsagePool()

// Backend is an inference server that is loaded once.
type Backend struct {
	options []gpubackend.Option
	loading sync.Once
	server  atomic.Pointer[gpubackend.Server]
	failure error // of loading
}

// AcquireBackend returns the backend of a configuration, and a lease on it. Its model is not
// loaded yet. Configurations with the same identity share a backend.
func AcquireBackend(identity string, log *slog.Logger, options ...gpubackend.Option) (*Backend, *Lease, error) {
	value, _, err := backends.LoadOrNew(identity, func() (caddy.Destructor, error) {
		return &Backend{options: append(options, gpubackend.WithLogger(log))}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	release := func() {
		if _, err := backends.Delete(identity); err != nil {
			log.Error("unloading the model", "error", err)
		}
	}
	return value.(*Backend), newLease(release, renewal(backends, identity, value, release)), nil
}

// Load returns the server. The first call loads the model, others wait for it.
func (b *Backend) Load() (*gpubackend.Server, error) {
	b.loading.Do(func() {
		server, err := gpubackend.New(b.options...)
		if b.failure = err; err == nil {
			b.server.Store(server)
		}
	})
	return b.server.Load(), b.failure
}

// IsLoaded reports whether the model has been loaded.
func (b *Backend) IsLoaded() bool { return b.server.Load() != nil }

// Destruct implements caddy.Destructor.
func (b *Backend) Destruct() error {
	b.loading.Do(func() { b.failure = ErrRetired })
	if b.failure != nil {
		return nil
	}
	return b.server.Load().Close()
}

// Backends calls yield for each backend that is held, until it returns false.
func Backends(yield func(*Backend) bool) {
	backends.Range(func(_, value any) bool { return yield(value.(*Backend)) })
}

// Interface guards
var _ caddy.Destructor = (*Backend)(nil)
