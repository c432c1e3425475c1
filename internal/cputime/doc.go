// Package cputime tells what benchmarks cost in processor time, which neighbours
// on the machine disturb far less than wall time.
package cputime
