package redisstore

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// tripAfter is how many calls in a row must fail for the circuit to open.
	tripAfter = 5
	// probeEvery is how often an open circuit looks whether Redis is back.
	probeEvery = 250 * time.Millisecond
	// claimEvery is how often a store says that it uses the prefix.
	claimEvery = 10 * time.Minute
)

// circuit keeps calls from waiting for a server that does not answer: once it is open,
// they are decided without it.
type circuit struct {
	isOpen   atomic.Bool
	failures atomic.Int32
}

func (c *circuit) open() bool { return c.isOpen.Load() }

// fail counts a call that failed.
func (c *circuit) fail(err error, logger *slog.Logger) {
	if c.failures.Add(1) >= tripAfter {
		c.trip(err, logger)
	}
}

func (c *circuit) trip(err error, logger *slog.Logger) {
	if !c.isOpen.Swap(true) {
		logger.Warn("redis is away: limits are not shared until it is back", "error", err)
	}
}

// succeed counts a call that went well.
func (c *circuit) succeed() {
	if c.failures.Load() != 0 && !c.isOpen.Load() {
		c.failures.Store(0)
	}
}

// watch looks for Redis while it is away.
func (s *Store) watch(ctx context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	claimed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		away := s.circuit.open()
		if !away && time.Since(claimed) < claimEvery {
			continue
		}
		probe, cancel := context.WithTimeout(ctx, max(s.timeout, time.Second))
		err := s.check(probe)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && away:
			s.circuit.failures.Store(0)
			s.circuit.isOpen.Store(false)
			s.logger.Info("redis is back: limits are shared again")
		case err != nil:
			s.circuit.trip(err, s.logger)
		}
		claimed = time.Now()
	}
}

// Ready returns nil if calls are counted in Redis, and an error that wraps ErrUnavailable
// if they are decided without it.
func (s *Store) Ready() error {
	if s.circuit.open() {
		return ErrUnavailable
	}
	return nil
}

// Stats are figures about a store.
type Stats struct {
	Available bool   // calls are counted in Redis
	Uncounted uint64 // calls that were admitted while Redis was away
	Waiting   int    // settlements that Redis has not confirmed
	Lost      uint64 // settlements that came too late: what those calls reserved stays charged
}

// Stats returns the figures of now.
func (s *Store) Stats() Stats {
	s.settlements.mu.Lock()
	waiting := 0
	for _, ended := range s.settlements.keys {
		waiting += len(ended)
	}
	s.settlements.mu.Unlock()
	return Stats{
		Available: !s.circuit.open(), Uncounted: s.uncounted.Load(),
		Waiting: waiting, Lost: s.settlements.lost.Load(),
	}
}
