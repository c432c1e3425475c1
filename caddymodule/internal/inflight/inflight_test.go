package inflight

import (
	"sync"
	"testing"
)

func TestAnAddressHasOneCounter(t *testing.T) {
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 100 {
				Of("gpu1:8000").Add(1)
			}
		})
	}
	callers.Wait()
	Of("gpu2:8000").Add(-1)
	if all := All(); all["gpu1:8000"] != 800 || all["gpu2:8000"] != -1 {
		t.Errorf("got %v", all)
	}
}
