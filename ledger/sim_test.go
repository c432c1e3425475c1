package ledger

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// livesPerWorld keeps logs short, so that many crashes fit into a test.
const livesPerWorld = 10

// TestSimulatedCrashesLoseInventOrDoubleNothing kills the ledger at random writes,
// in every way a disk can end one, and compares what it finds afterwards with an
// oracle. PENSTOCK_CRASHES sets how many; PENSTOCK_CRASH_SEED repeats one world.
func TestSimulatedCrashesLoseInventOrDoubleNothing(t *testing.T) {
	crashes := 200_000
	if raceEnabled {
		crashes = 10_000
	}
	if text := os.Getenv("PENSTOCK_CRASHES"); text != "" {
		var err error
		if crashes, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("PENSTOCK_CRASH_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if err := newWorld(seed).run(livesPerWorld); err != nil {
			t.Fatal(err)
		}
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // lives are short and small
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !t.Failed() {
				seed := next.Add(1)
				if seed > uint64(crashes/livesPerWorld) {
					return
				}
				if err := newWorld(seed).run(livesPerWorld); err != nil {
					t.Errorf("PENSTOCK_CRASH_SEED=%d: %v", seed, err)
				}
			}
		})
	}
	workers.Wait()
}
