package ledger_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
)

// copyOf returns a copy of a ledger's directory as a crash would leave it now.
func copyOf(t *testing.T, directory string) string {
	t.Helper()
	crashed := filepath.Join(t.TempDir(), "crashed")
	if err := os.CopyFS(crashed, os.DirFS(directory)); err != nil {
		t.Fatal(err)
	}
	return crashed
}

// interrupted returns the entries of calls that a crash ended, by request.
func interrupted(t *testing.T, l *ledger.Ledger) map[string]ledger.Entry {
	t.Helper()
	entries, err := l.FindEntries(t.Context(), ledger.EntryQuery{Kinds: []ledger.Kind{ledger.KindSettle, ledger.KindVoid}})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]ledger.Entry{}
	for _, e := range entries {
		if _, twice := found[e.RequestID]; twice {
			t.Errorf("request %s has two entries", e.RequestID)
		}
		if e.Outcome == ledger.OutcomeInterrupted {
			found[e.RequestID] = e
		}
	}
	return found
}

// admissions returns the durable entries that record calls.
func admissions(t *testing.T, l *ledger.Ledger) []ledger.Entry {
	t.Helper()
	entries, err := l.FindEntries(t.Context(), ledger.EntryQuery{Kinds: []ledger.Kind{ledger.KindAdmission}})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// requests returns how many requests a key has made.
func requests(t *testing.T, l *ledger.Ledger, key string) (count int64) {
	t.Helper()
	rows, err := l.Usage(t.Context(), ledger.UsageQuery{KeyID: key})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		count += row.Requests
	}
	return count
}

func TestCallsThatRunAtACrashHaveAnEntryAndCountAsRequests(t *testing.T) {
	for _, policy := range []ledger.CrashPolicy{ledger.CrashCheckpoint, ledger.CrashRelease, ledger.CrashFull} {
		t.Run(policy.String(), func(t *testing.T) {
			directory := t.TempDir()
			l := open(t, directory, ledger.WithCrashPolicy(policy))
			key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 100*ledger.Credit)
			calls := map[string]ledger.HoldID{}
			for _, id := range []string{"whole 1", "whole 2", "ended", "refused", "stream"} {
				calls[id] = hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1), RequestID: id, Stream: id == "stream"})
			}
			// No other commit comes: they are recorded all the same.
			testkit.Eventually(t, "the calls are recorded", func() bool { return len(admissions(t, l)) > 0 })
			settleOnly(t, l, calls["ended"])
			if err := l.Void(t.Context(), calls["refused"], ledger.OutcomeOK); err != nil {
				t.Fatal(err)
			}
			if _, err := l.TopUp(t.Context(), "acme", 1, "makes the rest durable"); err != nil {
				t.Fatal(err)
			}
			l = open(t, copyOf(t, directory), ledger.WithCrashPolicy(policy))
			found := interrupted(t, l)
			for _, id := range []string{"whole 1", "whole 2", "stream"} {
				e, ok := found[id]
				charge := ledger.Micro(0)
				if id == "stream" && policy == ledger.CrashFull {
					charge = ledger.Credit
				}
				if !ok || e.Amount != charge || e.Hold != calls[id] || e.KeyID != key.ID || e.Account != "acme" || e.Model != "m" || (charge == 0) != (e.Kind == ledger.KindVoid) {
					t.Errorf("%s: %+v, want a charge of %s", id, e, charge)
				}
			}
			if n := requests(t, l, key.ID); len(found) != 3 || n != 4 {
				t.Errorf("%d calls were interrupted and %d requests counted, want 3 and 4", len(found), n)
			}
			if _, err := l.TopUp(t.Context(), "acme", 1, "it goes on"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClosingRecordsTheCallsThatRun(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory)
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, ledger.Credit)
	for range 1500 { // more than one entry names
		hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m"})
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // once, not at each start
		l = open(t, directory)
		if n := requests(t, l, key.ID); n != 1500 {
			t.Errorf("%d requests, want 1500", n)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestShortCallsAreNotRecorded(t *testing.T) {
	l := open(t, t.TempDir())
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, 1000*ledger.Credit)
	for range 300 {
		settleOnly(t, l, hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", Worst: minuteOf(1)}))
	}
	if entries := admissions(t, l); len(entries) > 10 { // a disk may hang for a moment
		t.Errorf("%d entries record calls", len(entries))
	}
}

func TestAnAdmissionSaysHowManyCallsItRecords(t *testing.T) {
	clock := newClock()
	l := open(t, t.TempDir(), ledger.WithClock(clock.now))
	key, _ := member(t, l, ledger.NewKey{Owner: "acme"}, ledger.Credit)
	for range 3 {
		hold(t, l, ledger.HoldRequest{KeyID: key.ID, Model: "m", RequestID: "r"})
	}
	clock.add(time.Second)
	if _, err := l.TopUp(t.Context(), "acme", 1, "a commit that comes anyway"); err != nil {
		t.Fatal(err)
	}
	entries := admissions(t, l)
	if len(entries) != 1 || entries[0].Sequence != l.Stats().Sequence {
		t.Fatalf("%+v", entries)
	}
	line, err := json.Marshal(entries[0])
	if want := `{"seq":6,"at":"2026-11-20T10:00:01Z","kind":"admission","hold":"1|0","calls":3}`; err != nil || string(line) != want {
		t.Errorf("%s, %v\nwant %s", line, err, want)
	}
}
