package ledger

import (
	"testing"
	"time"
)

func TestCommitsWaitForCompanyOnlyUnderLoad(t *testing.T) {
	for _, test := range []struct {
		name       string
		running    int           // calls that have a hold
		waiting    int           // entries that wait for the commit
		since      time.Duration // the last commit
		durability Durability
		want       time.Duration
	}{
		{"many callers", 100, 1, gatherTime - 1, DurabilitySettle, gatherTime},
		{"nothing to commit", 100, 0, 0, DurabilitySettle, 0},
		{"a lone caller", 0, 1, 0, DurabilitySettle, 0},
		{"few callers", gatherCalls - 1, 1, 0, DurabilitySettle, 0},
		{"many callers who call rarely", 100, 1, gatherTime, DurabilitySettle, 0},
		{"enough wait already", 100, gatherEntries, 0, DurabilitySettle, 0},
		{"the interval is the wait", 100, 1, 0, DurabilityInterval, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			now, slept := time.Unix(1, 0), time.Duration(0)
			l := &Ledger{core: newCore(), batch: newBatch(), lastCommit: now.Add(-test.since)}
			l.durability = test.durability
			l.now = func() time.Time { return now }
			l.sleep = func(span time.Duration) { slept += span }
			for id := range test.running {
				l.core.holds[HoldID(id)] = openHold{}
			}
			l.batch.entries = make([]Entry, test.waiting)
			if l.gather(); slept != test.want {
				t.Errorf("waited %s, want %s", slept, test.want)
			}
		})
	}
}
