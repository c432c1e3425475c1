// Package bench pits the limiter against other limiters of the Go world on the
// same work. It is a module of its own, so that nobody who uses the limiter
// downloads them:
//
//	cd internal/bench/limiter && go test -v -run TestTable -table
//
// prints a table with CPU time, memory and over-admission.
package bench
