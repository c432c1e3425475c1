package ledger

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestACommitWaitsForCompanyAsLongAsItsCallsAllow(t *testing.T) {
	const second, never = time.Second, 0
	for _, test := range []struct {
		name    string
		running int             // calls that have a hold
		ended   []time.Duration // run times of the calls that wait for the commit
		others  int             // entries that nobody waits for
		since   time.Duration   // the last commit
		longest time.Duration
		want    time.Duration
	}{
		{"short calls under load", 100, []time.Duration{second / 1000}, 0, gatherTime - 1, 10 * time.Millisecond, gatherTime},
		{"short calls, few callers", gatherCalls - 1, []time.Duration{second / 1000}, 0, 0, 10 * time.Millisecond, never},
		{"short calls that are rare", 100, []time.Duration{second / 1000}, 0, gatherTime, 10 * time.Millisecond, never},
		{"one percent of the time it ran", 1, []time.Duration{second / 5}, 0, second, 10 * time.Millisecond, 2 * time.Millisecond},
		{"less than a timer can keep", 1, []time.Duration{second / 25}, 0, second, 10 * time.Millisecond, never},
		{"a long call waits for the longest time", 1, []time.Duration{60 * second}, 0, second, 10 * time.Millisecond, 10 * time.Millisecond},
		{"a configured longest time", 1, []time.Duration{60 * second}, 0, second, 3 * time.Millisecond, 3 * time.Millisecond},
		{"waiting is turned off", 1, []time.Duration{60 * second}, 0, second, 0, never},
		{"waiting is turned off, under load", 100, []time.Duration{60 * second}, 0, 0, 0, gatherTime},
		{"the least patient call decides", 1, []time.Duration{second, second / 5, second / 2}, 0, second, 10 * time.Millisecond, 2 * time.Millisecond},
		{"an impatient call ends all waiting", 1, []time.Duration{second, 0}, 0, second, 10 * time.Millisecond, never},
		{"nobody waits", 1, nil, 1, second, 10 * time.Millisecond, 10 * time.Millisecond},
		{"nothing to commit", 100, nil, 0, 0, 10 * time.Millisecond, never},
		{"a lone caller", 0, []time.Duration{60 * second}, 0, 0, 10 * time.Millisecond, never},
		{"enough wait already", 100, []time.Duration{60 * second}, gatherEntries, 0, 10 * time.Millisecond, never},
	} {
		t.Run(test.name, func(t *testing.T) {
			began := time.Unix(1, 0)
			now := began
			l := &Ledger{core: newCore(), batch: newBatch(), lastCommit: now.Add(-test.since), urgent: make(chan struct{}, 1)}
			l.commitWait = test.longest
			l.now = func() time.Time { return now }
			l.after = func(span time.Duration) <-chan time.Time {
				now = now.Add(span)
				passed := make(chan time.Time, 1)
				passed <- now
				return passed
			}
			for id := range test.running {
				l.core.holds[HoldID(id)] = openHold{}
			}
			l.batch.entries = make([]Entry, len(test.ended)+test.others)
			for _, ran := range test.ended {
				l.expect(now.Add(l.patience(ran)))
			}
			if l.gather(); now.Sub(began) != test.want {
				t.Errorf("waited %s, want %s", now.Sub(began), test.want)
			}
		})
	}
}

// A commit that waits learns of what happens meanwhile.
func TestAWaitForCompanyEndsEarly(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(l *Ledger)
		want      time.Duration
	}{
		"nothing happens":           {func(*Ledger) {}, 10 * time.Millisecond},
		"a less patient call":       {func(l *Ledger) { l.expect(l.now().Add(time.Millisecond)) }, 3 * time.Millisecond},
		"a more patient call":       {func(l *Ledger) { l.expect(l.now().Add(time.Second)) }, 10 * time.Millisecond},
		"an administrator's change": {func(l *Ledger) { l.expect(l.now()) }, 2 * time.Millisecond},
		"the ledger closes":         {func(l *Ledger) { close(l.stop) }, 2 * time.Millisecond},
		"company enough": {func(l *Ledger) {
			l.batch.entries = make([]Entry, gatherEntries-1)
			_ = l.append(&Entry{Kind: KindEpoch, Hold: makeHoldID(1, 0)})
		}, 2 * time.Millisecond},
		"the last running call ends": {func(l *Ledger) {
			clear(l.core.holds)
			_ = l.append(&Entry{Kind: KindEpoch, Hold: makeHoldID(1, 0)})
		}, 2 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &Ledger{
					core: newCore(), batch: newBatch(),
					wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1), stop: make(chan struct{}),
				}
				l.commitWait, l.now, l.after = 10*time.Millisecond, time.Now, time.After
				l.core.holds[1] = openHold{}
				l.batch.entries = make([]Entry, 1)
				began := time.Now()
				l.expect(began.Add(10 * time.Millisecond))
				go func() {
					time.Sleep(2 * time.Millisecond)
					l.mu.Lock()
					defer l.mu.Unlock()
					test.meanwhile(l)
				}()
				if l.gather(); time.Since(began) != test.want {
					t.Errorf("waited %s, want %s", time.Since(began), test.want)
				}
			})
		})
	}
}
