package cputime

import (
	"testing"
	"time"
)

func TestUsedTimeGrowsWithWork(t *testing.T) {
	start, before := time.Now(), Used()
	for time.Since(start) < 50*time.Millisecond {
	}
	worked := Used() - before
	if worked <= 0 {
		t.Fatalf("50 ms of work took %v of processor time", worked)
	}
}
