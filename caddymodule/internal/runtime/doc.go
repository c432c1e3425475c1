// Package runtime holds what lives longer than one configuration of Caddy, and what a call needs
// while it passes.
//
// Caddy throws every module away on a reload and makes new ones, while streams of the old ones
// still run. So modules own nothing that lasts; they acquire it here, by an identity, and get a
// [Lease] that they retire when they are cleaned up:
//
//   - an [Engine] is an open ledger with its limiter, metrics, alerts and background runs; its
//     identity is where the ledger is kept;
//   - a [Backend] is a loaded model; its identity is its configuration.
//
// The lease counts the calls of a configuration. Only when it is retired and its last call has
// ended is the share given back, and only when nobody holds a share is the engine closed. That is
// why a reload cuts no stream and loses no counter.
//
// What changes with a configuration while the engine stays is a [Configuration]: prices, and where
// alerts go. Applying one remembers the one before, because Caddy may still give the new one up.
//
// A [Passage] takes one call through a gate between Caddy's handler chain and plain net/http.
package runtime
