package runtime

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// Configuration is what one configuration of the app sets in an engine that outlives it.
type Configuration struct {
	// Prices are those of the configured models, by name.
	Prices map[string]ledger.Price
	// DefaultPrice is that of models which had a price under an earlier configuration and have
	// none any more.
	DefaultPrice ledger.Price
	// FixedCosts are those of all gates, by path.
	FixedCosts map[string]ledger.Micro
	// CommitWait is the longest time for which a charge waits for others that share its commit.
	CommitWait time.Duration
	// KeepEntries is how long the ledger keeps entries; 0: for good.
	KeepEntries time.Duration
	// Notifier is where alerts go.
	Notifier *Notifier
	// Administration serves the commands that come through the socket.
	Administration http.Handler
	// Listens are the addresses of all servers, as far as they are numbers.
	Listens []netip.AddrPort

	// Both are guarded by the engine.
	previous *Configuration // whose prices come back if this one fails to start
	stopped  bool           // it cannot take effect any more
}

// Apply puts the settings of a configuration into effect and remembers the one
// before, in case the new configuration fails to start.
func (e *Engine) Apply(ctx context.Context, c *Configuration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.stopped {
		return ErrRetired
	}
	c.previous, e.current = e.current, c
	return e.enact(ctx, c)
}

// enact makes a configuration the one in effect. The caller holds the lock.
func (e *Engine) enact(ctx context.Context, c *Configuration) error {
	e.administer()
	e.Ledger.SetCommitWait(c.CommitWait)
	if err := e.setPrices(ctx, c); err != nil {
		return err
	}
	e.retention.set(c.KeepEntries)
	return c.Notifier.use(e)
}

// Stop is called when a configuration stops: because another one is in effect, or because
// it failed to start. In that case the previous settings take effect again.
func (e *Engine) Stop(ctx context.Context, c *Configuration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.stopped = true
	if e.current != c {
		if e.current != nil {
			e.current.previous = nil // it has started: there is no way back
		}
		return nil
	}
	e.current, c.previous = c.previous, nil
	e.administer()
	if e.current == nil {
		return nil
	}
	return e.enact(ctx, e.current)
}

// setPrices makes the ledger's prices those of a configuration.
func (e *Engine) setPrices(ctx context.Context, c *Configuration) error {
	for _, name := range e.Ledger.PricedModels() {
		// Names of paths are fixed costs, which belong to the gates.
		if _, ok := c.Prices[name]; ok || strings.HasPrefix(name, "/") {
			continue
		}
		if err := e.Ledger.SetPrice(ctx, name, c.DefaultPrice); err != nil {
			return fmt.Errorf("model %s: %w", name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Prices)) {
		if err := e.Ledger.SetPrice(ctx, name, c.Prices[name]); err != nil {
			return fmt.Errorf("model %s: %w", name, err)
		}
	}
	for path, cost := range c.FixedCosts {
		if err := e.Ledger.SetPrice(ctx, path, ledger.Price{Request: cost}); err != nil {
			return fmt.Errorf("fixed cost of %s: %w", path, err)
		}
	}
	return nil
}
