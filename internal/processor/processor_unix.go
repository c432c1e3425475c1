//go:build unix

package processor

import (
	"syscall"
	"time"
)

// Time returns the processor time that this process has used, all threads
// together.
func Time() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // only for a pointer or a constant that is wrong
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
