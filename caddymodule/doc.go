// Package caddymodule puts Penstock into Caddy: the app that holds the ledger,
// the models and their prices, the gate in front of a handler, the directive
// that puts the gate in front of reverse_proxy, the load-balancing policy, the
// admin routes and the bundled inference backend.
//
// The package only translates configuration into the packages middleware,
// limiter, ledger and gpubackend, which know nothing of Caddy.
package caddymodule
