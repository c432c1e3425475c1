package ledger_test

import (
	"os"
	"syscall"
)

// dataSync makes what was written to a file durable, at the least cost that the
// system offers.
func dataSync(file *os.File) error { return syscall.Fdatasync(int(file.Fd())) }
