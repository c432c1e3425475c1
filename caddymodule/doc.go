// Package caddymodule puts Penstock into Caddy. Importing it registers everything: the modules
// below, their Caddyfile directives, the balancing policy and the command line.
//
//	module                                            directive          what it is
//	penstock                                          { penstock {} }    ledger, models, prices, limits of new keys
//	penstock.ledgers.sqlite                           ledger sqlite      where the ledger is kept
//	http.handlers.penstock                            penstock           the gate, in front of any handler
//	http.handlers.penstock_admin                      penstock_admin     the administration
//	http.handlers.penstock_backend                    penstock_backend   the bundled inference server
//	http.handlers.penstock_forward                    penstock_proxy     the forwarder, package forward
//	http.reverse_proxy.selection_policies.penstock    lb_policy          package balance
//	caddy.logging.encoders.penstock_redact            format             a log that holds no keys
//
// The directive penstock_proxy is the gate, the forwarder and reverse_proxy in one:
//
//	{
//	    penstock {
//	        default_limits rpm 60 tpm 30000
//	        model llama-3.1-8b {
//	            price input 3
//	            price output 9
//	        }
//	    }
//	}
//
//	api.example.com {
//	    penstock_admin
//	    penstock_proxy gpu1:8000 gpu2:8000
//	}
//
// The package only translates configuration, from JSON or a Caddyfile, into options of the packages
// middleware, middleware/admin, limiter, ledger and gpubackend, which know nothing of Caddy. Each
// module is a struct whose exported fields are its JSON, in the file of its name; what reads its
// Caddyfile syntax is in the file of its name that ends in _caddyfile.go, unless it is only a few
// lines. What lives longer than one configuration, and what a call needs on its way, is in
// internal/runtime; the command line is in console.
//
// # A module's life
//
//   - Provision loads and acquires, but opens nothing and writes nothing, because `caddy validate`
//     provisions too. Validate checks the values.
//   - Start opens the ledger, if it is not open since an earlier configuration. The first call may
//     do so before, because Caddy starts its apps in no particular order.
//   - Cleanup retires the lease: running calls end undisturbed, and are charged.
//
// # Caveats
//
//   - The gate must stand before every handler that could answer a call without it. Paths that it
//     cannot measure are refused with 404; in a site that serves other paths too, give it a matcher.
//   - New values of zone, on_crash, disk_reserve, snapshot_every and limiter take effect when the
//     process is restarted, not at a reload.
//   - One process at a time has an SQLite ledger open.
//
// The pairs of a Caddyfile and its JSON in testdata/adapt are examples of every option.
package caddymodule
