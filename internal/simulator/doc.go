// Package simulator compares ways to balance calls among inference servers, with the gateway's
// real code. It is a discrete-event model: [Hardware] says what a step of a server takes, an
// engine batches calls in steps and keeps a cache of prompts, a [Workload] makes calls from a
// seed or a trace, and a [Router] sends each of them to an engine. Everything but the routers
// is the same for all of them, and nothing depends on the machine that runs it.
//
// The routers that the gateway is compared with are written from their papers and public
// descriptions, with the figures published there; baselines.go and affinity.go name them. They
// see exact tokens and exact blocks; the gateway sees the bytes of a request and estimates.
//
// Absolute figures are those of a model. Compare ratios.
package simulator
