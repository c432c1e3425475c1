package ledger

import (
	"testing"
	"time"
)

func TestCommitsWaitForCompanyOnlyUnderLoad(t *testing.T) {
	for _, test := range []struct {
		name     string
		running  int           // calls that have a hold
		waiting  int           // entries that wait for the commit
		since    time.Duration // the last commit
		arriving []int         // entries that come during each slice
		want     int           // slices that the commit waits
	}{
		{"nothing to commit", 100, 0, 0, nil, 0},
		{"a lone caller", 0, 1, 0, nil, 0},
		{"few callers", gatherCalls - 1, 1, 0, []int{5}, 0},
		{"many callers who call rarely", 100, 1, gatherSlice, []int{5}, 0},
		{"nobody else came", 100, 1, gatherSlice - 1, []int{0, 5}, 1},
		{"others stop coming", 100, 1, 0, []int{5, 5, 0, 5}, 3},
		{"others keep coming slowly", 100, 1, 0, []int{1, 1, 1, 1, 1, 1}, gatherSlices},
		{"enough came", 100, 1, 0, []int{5, gatherEntries}, 2},
		{"enough wait already", 100, gatherEntries, 0, []int{5}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			now, slept := time.Unix(1, 0), 0
			l := &Ledger{core: newCore(), batch: newBatch(), lastCommit: now.Add(-test.since)}
			l.now = func() time.Time { return now.Add(time.Duration(slept) * gatherSlice) }
			l.sleep = func(time.Duration) {
				l.batch.entries = append(l.batch.entries, make([]Entry, test.arriving[slept])...)
				slept++
			}
			for id := range test.running {
				l.core.holds[HoldID(id)] = openHold{}
			}
			l.batch.entries = make([]Entry, test.waiting)
			if l.gather(); slept != test.want {
				t.Errorf("waited %d slices, want %d", slept, test.want)
			}
		})
	}
}

func TestChargesThatMayLagAreNotGatheredTwice(t *testing.T) {
	l := &Ledger{core: newCore(), batch: newBatch()}
	l.durability, l.now = DurabilityInterval, time.Now
	l.sleep = func(time.Duration) { t.Error("waited although the interval is the wait") }
	for id := range 100 {
		l.core.holds[HoldID(id)] = openHold{}
	}
	l.lastCommit = time.Now()
	l.batch.entries = make([]Entry, 1)
	l.gather()
}
