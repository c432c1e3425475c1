// Package console is the command line of Penstock: caddy penstock keys, accounts, usage, explain
// and ledger.
//
// Every command but those of ledger is a client of the native administration API. If an instance
// runs on the data directory, it is that instance's API over the network; if none runs, the
// command opens the ledger, and serves the same API to itself through a pipe. So a command checks
// nothing that the API checks, and there is one place that decides what a key may be.
//
// The files are one per noun (keys, accounts, usage, ledger), and client for the way to the API,
// keyflags for the flags that describe a key, print for tables and JSON.
package console
