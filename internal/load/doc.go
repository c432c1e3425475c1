// Package load holds the binary with the gate against the same binary with a bare
// reverse_proxy: processor time of the gateway for each call, in turns in the same
// run. The gateway has one core to itself, the callers and the upstream share
// another. Requests are prose, conversations and code, from many keys; upstreams
// answer at once or work for a while; callers come at a fixed rate or as soon as they
// have their answer. The benchmarks need Linux and two quiet cores:
//
//	go test -run '^$' -bench . ./internal/load
package load
