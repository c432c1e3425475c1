// Package runtime holds what outlives one configuration of Caddy, and takes a call through a gate.
//
// On a reload Caddy replaces every module by a new one, while streams of the old ones still run.
// Modules therefore own nothing that must last. They acquire it here, by an identity, and get a
// [Lease] that they retire when they are cleaned up:
//
//   - an [Engine] is an open ledger with its limiter, metrics, alerts and background runs; its
//     identity is where the ledger is kept;
//   - a [Backend] is a loaded model; its identity is its configuration.
//
// The lease counts the calls of a configuration. Its share is released when the lease is retired
// and its last call has ended, and the engine is closed when no share is left. A reload therefore
// cuts no stream off and loses no counter.
//
// A [Configuration] holds what changes while the engine stays: prices, and where alerts go.
// Applying one keeps the previous one, because the new one may still fail to start.
//
// A [Passage] connects Caddy's handler chain and the gate, which is plain net/http, for one call.
package runtime
