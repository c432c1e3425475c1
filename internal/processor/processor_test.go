package processor

import (
	"testing"
	"time"
)

func TestTimeGrowsWithWork(t *testing.T) {
	start, before := time.Now(), Time()
	for time.Since(start) < 50*time.Millisecond {
	}
	worked := Time() - before
	if worked <= 0 {
		t.Fatalf("50 ms of work took %v of processor time", worked)
	}
}
