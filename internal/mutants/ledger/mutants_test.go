// Package mutants plants the mistakes that ledgers lose money by, one at a time,
// into the ledger's source, and expects its crash simulation to find each of them.
package mutants

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/needs"
)

// change replaces a text that stands exactly once in a file of the ledger.
type change struct{ file, old, new string }

var mutants = map[string][]change{
	"acknowledge before the commit": {
		{"committer.go", "	err := failed\n", "	close(b.done)\n	err := failed\n"},
		{"committer.go", "	b.err = err\n	close(b.done)\n", "	b.err = err\n"},
	},
	"resolve a hold twice": {
		{"state.go", "	delete(c.holds, e.Hold)\n", ""},
	},
	"forget the balance check": {
		{"state_holds.go", "amount > available || !exact {", "!exact && available == 0 {"},
	},
	"forget the budget check": {
		{"state_holds.go", "amount > left {", "amount > left && left > MaxMicro {"},
	},
	"cap a hold to what is left": {
		{"state_holds.go", "	if amount <= h.amount && exact {\n", "	amount = min(amount, a.available()+h.amount)\n	if amount <= h.amount && exact {\n"},
	},
	"lose the log after the snapshot": {
		{"snapshot.go", "	return l.store.Replay(ctx, l.core.sequence, l.core.apply)\n", "	if l.core.sequence > 0 {\n		return nil\n	}\n	return l.store.Replay(ctx, l.core.sequence, l.core.apply)\n"},
	},
	"take a snapshot ahead of the log": {
		{"snapshot.go", "	if b != nil && !l.committed(b) {\n", "	if b != nil && b.err != nil {\n"},
	},
	"retry a failed sync": {
		{"committer.go", "if err = l.store.Append(context.Background(), b.entries); err != nil {", "if err = l.store.Append(context.Background(), b.entries); err != nil {\n			err = l.store.Append(context.Background(), b.entries)\n		}\n		if err != nil {"},
	},
	"go on after a failed write": {
		{"ledger.go", "	if l.failed != nil {\n		return unavailable(l.failed)\n	}\n	if l.closed {", "	if l.closed {"},
	},
	"give a hold back twice": {
		{"state.go", "	a.held -= hold.amount\n", "	a.held -= 2 * hold.amount\n"},
	},
	"keep a voided hold": {
		{"state_holds.go", "	c.accounts[h.account].held -= h.amount\n", ""},
	},
	"top up again for the same idempotency key": {
		{"account.go", "			if !used {\n", "			if !used || number < 1<<20 {\n"},
		{"state.go", "; used && detail.Request == nil {", "; used && e.Sequence < 0 {"},
	},
	"adjust again for the same idempotency key": {
		{"state_tables.go", "	number, ok := c.requestOf[i.mark()]\n	if !ok {\n", "	number, ok := c.requestOf[i.mark()]\n	if !ok || number < 1<<20 {\n"},
		{"state_tables.go", "; used {\n", "; used && sequence < 0 {\n"},
	},
	"run calls of a frozen account": {
		{"state_holds.go", "].frozen {\n", "].frozen && len(c.holds) > 1<<20 {\n"},
	},
	"run calls of a paused key": {
		{"state_holds.go", ".flags&keyPaused != 0 {\n", ".flags&keyPaused != 0 && len(c.holds) > 1<<20 {\n"},
	},
	"charge the hold and not the cost": {
		{"state_holds.go", "	e.Amount = min(cost, most)\n", "	e.Amount = min(max(cost, h.amount), most)\n"},
	},
	"write nothing off": {
		{"hold.go", "	if writeOff > 0 {\n", "	if writeOff > MaxMicro {\n"},
	},
	"forget the streams of a dead process": {
		{"ledger.go", "	for _, id := range open {\n", "	for _, id := range open[:0] {\n"},
	},
	"forget the calls of a dead process": {
		{"ledger.go", "	open = slices.AppendSeq(open, maps.Keys(l.core.admitted))\n", ""},
	},
	"record no calls": {
		{"committer.go", "	l.recordCalls(l.recordAfter)\n", ""},
	},
	"record calls that have ended": {
		{"state.go", "	c.forget(e.Hold)\n", "	delete(c.open, e.Hold)\n"},
	},
	"leave calls out of snapshots": {
		{"snapshot_codec.go", "	for _, id := range slices.Sorted(maps.Keys(c.admitted)) {\n", "	for _, id := range slices.Sorted(maps.Keys(c.admitted))[:0] {\n"},
		{"snapshot_codec.go", "	e.unsigned(uint64(len(c.admitted)))\n", "	e.unsigned(0)\n"},
	},
	"count calls that never ran": {
		{"hold.go", "	if outcome == OutcomeOK && l.core.recorded(id) {\n", "	if outcome == OutcomeOK && l.core.recorded(id) && id.Counter() == 0 {\n"},
	},
	"drop the usage of today": {
		{"snapshot.go", "dropBefore(c.closedBefore(),", "dropBefore(c.closedBefore()+1,"},
	},
	"prune without a new start": {
		{"retention.go", "	if err := l.store.SaveSnapshot(ctx, snapshot); err != nil {\n		return 0, err\n	}\n", "	_ = snapshot\n"},
	},
}

// TestTheCrashSimulationFindsEveryMutant builds the ledger anew for each mutant.
// By default it takes two at random; PENSTOCK_MUTANTS=1 takes every one.
func TestTheCrashSimulationFindsEveryMutant(t *testing.T) {
	needs.Program(t, "go")
	source, err := filepath.Abs("../../../ledger")
	if err != nil {
		t.Fatal(err)
	}
	left := 2
	if os.Getenv("PENSTOCK_MUTANTS") != "" {
		left = len(mutants)
	}
	for name, changes := range mutants { // in an order that Go draws anew each time
		left--
		build := left >= 0
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			overlay := filepath.Join(directory, "overlay.json")
			plant(t, source, directory, overlay, changes) // it must fit the source, built or not
			if !build {
				return
			}
			test := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-ldflags=-s -w", "-overlay", overlay,
				"-timeout", "60s", "-run", "TestSimulatedCrashes", source)
			test.Env = append(os.Environ(), "PENSTOCK_CRASHES=40000")
			test.Dir = source
			output, err := test.CombinedOutput()
			var exit *exec.ExitError
			switch {
			case err == nil:
				t.Errorf("survived:\n%s", output)
			case !errors.As(err, &exit):
				t.Fatal(err)
			case !strings.Contains(string(output), "PENSTOCK_CRASH_SEED="):
				t.Errorf("died of something else:\n%s", output)
			}
		})
	}
}

// plant writes changed copies of the files and the list that puts them in place.
func plant(t *testing.T, source, directory, overlay string, changes []change) {
	t.Helper()
	replaced := map[string]string{}
	for _, c := range changes {
		path := filepath.Join(source, c.file)
		from := path
		if earlier, ok := replaced[path]; ok {
			from = earlier
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), c.old); n != 1 {
			t.Fatalf("%s has the text %d times, want once:\n%s", c.file, n, c.old)
		}
		mutated := filepath.Join(directory, c.file)
		if err := os.WriteFile(mutated, []byte(strings.Replace(string(text), c.old, c.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[path] = mutated
	}
	list, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
}
