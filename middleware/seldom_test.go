package middleware

import (
	"testing"
	"time"
)

func TestWhatHappensOftenIsLoggedSeldom(t *testing.T) {
	var s seldom
	start := time.Now()
	for _, step := range []struct {
		after  time.Duration
		missed int64
		due    bool
	}{
		{0, 0, true}, {time.Second, 0, false}, {warnEvery - 1, 0, false}, {warnEvery, 2, true}, {warnEvery + 1, 0, false}, {3 * warnEvery, 1, true},
	} {
		if missed, due := s.due(start.Add(step.after)); missed != step.missed || due != step.due {
			t.Errorf("after %s: %d, %t", step.after, missed, due)
		}
	}
}
