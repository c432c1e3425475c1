// Package load holds the binary with the gate against the same binary with a bare
// reverse_proxy: processor time of the gateway for each call, in turns in the same
// run. The gateway has one core to itself, the callers and the upstream share
// another. Its benchmarks need Linux and two cores:
//
//	go test -run '^$' -bench . ./internal/load
package load
