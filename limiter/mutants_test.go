package limiter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// mutant is a fault that the tests must find.
type mutant struct {
	name  string
	edits []edit
}

// edit replaces text that occurs once in a file. A value is replaced as an
// expression, anything else as whole statements.
type edit struct {
	file, before, after string
	value               bool
}

func statement(name, file, before, after string) mutant {
	return mutant{name, []edit{{file, before, after, false}}}
}

func value(name, file, before, after string) mutant {
	return mutant{name, []edit{{file, before, after, true}}}
}

var mutants = []mutant{
	statement("stamps rounded down", "evaluation.go", "e.stamp = ceilMS(e.now)", "e.stamp = e.ms"),
	statement("entries leave 1 ms early", "log.go", "s.setHead(stamp+windowMS, s.head())", "s.setHead(stamp+windowMS-1, s.head())"),
	statement("entries leave 1 ms late", "log.go", "s.setHead(stamp+windowMS, s.head())", "s.setHead(stamp+windowMS+1, s.head())"),
	statement("merging keeps the older stamp", "log.go", "*last = entry(stamp, requests, tokens)\n\t\t\t\tkeptStamp = stamp", "*last = entry(keptStamp, requests, tokens)"),
	statement("merged slots are twice as wide", "memory.go", "m.shards[i].slot = max(1, 2*windowMS/int64(m.entries))", "m.shards[i].slot = max(1, 4*windowMS/int64(m.entries))"),
	value("full entries overflow", "log.go", "min(tokens, maxTokens-entryTokens(*tail))", "tokens"),
	statement("refunds are lost", "settle.go", "e.sh.refund(s, e.ms, part.stamp, 0, n)", ""),
	value("refunds are taken from the newest entry", "log.go", "oldest+later(origin, words[(head+middle)&mask]) < stamp", "true"),
	value("refunds of what has left are taken from others", "log.go", "stamp+windowMS <= now", "false"),
	statement("requests of refunds stay", "log.go", "s.requests -= uint32(r)", ""),
	statement("debt is charged at the old stamp", "settle.go", "e.sh.add(s, e.stamp, 0, actual-reserved)", "e.addPast(s, r.stamp, 0, actual-reserved)"),
	statement("debt is forgotten", "settle.go", "e.sh.add(s, e.stamp, 0, actual-reserved)", ""),
	statement("calls in flight leak", "settle.go", "s.inFlight--", ""),
	statement("canceled requests stay", "settle.go", "e.undoRequest(s, r)", ""),
	value("refunds of yesterday are taken from today", "settle.go", "part.day == e.day.number", "true"),
	value("requests of yesterday are taken from today", "settle.go", "r.day == e.day.number && s.dayRequests != math.MaxUint32", "s.dayRequests != 0"),
	statement("excess of a day is forgotten", "settle.go", "return -left", "return min(0, -left)"),
	value("settlement without a guard", "settle.go", "r.id != handle.ID", "r.id == 0"),
	value("handles are not checked", "reservations.go", "handle.Check == m.seal(handle)", "true"),
	statement("extensions count from the admission", "settle.go", "r.stamp, r.day = e.stamp, e.day.number", "r.day = e.day.number"),
	statement("refusals are charged", "admit.go", "e.refuse(request.Rows, &decision.Refusal)", "e.refuse(request.Rows, &decision.Refusal); e.charge()"),
	statement("a decision reads the clock twice", "wait.go", "refusal.RetryAfter = e.waitUntil(at)", "refusal.RetryAfter = millis((at.time-e.m.now(e.sh)+1e6-1)/1e6)"),
	statement("the model is not charged", "admit.go", "e.chargeScope(e.model, total)", ""),
	statement("tokens by direction are not charged", "admit.go", "e.hold(sub, 0, e.want.Of(limits.TokenType(sub.hash)))", ""),
	statement("a new direction starts at zero", "shard.go", "sh.copyTokens(sub, s)", ""),
	statement("requests of the day are kept", "scope.go", "s.dayRequests = 0", ""),
	value("scopes with use of the day are forgotten", "scope.go", "s.live() == 0 && !used", "s.live() == 0"),
	value("scopes with calls in flight are forgotten", "shard.go", "s.inFlight != 0", "false"),
	value("scopes with debt of one direction are forgotten", "shard.go", "a.count() != 0 || a.live() != 0", "false"),
	value("the cap does not hold", "shard.go", "m.scopes.Add(1) > m.maxKeys", "false"),
	statement("keys leave the shared scope while it counts", "shard.go", "return sh.overflow[level]", ""),
	statement("growing tables lose entries", "index.go", "x.put(w, sh.at(uint32(w)-slotBias).hash)", "if x.moved%64 != 3 { x.put(w, sh.at(uint32(w)-slotBias).hash) }"),
	value("waits last until the window is empty", "log.go", "i < count && left > target", "i < count"),
	value("waits name the shortest", "wait.go", "at.time > worst.time || refusal.Rule == limits.None", "at.time < worst.time || refusal.Rule == limits.None"),
	value("no call is impossible", "wait.go", "target < 0", "false"),
	value("one call too many in flight", "admit.go", "over(int64(s.inFlight), 1, minute.MaxInFlight)", "over(int64(s.inFlight), 0, minute.MaxInFlight)"),
	value("a date gives its quota twice", "calendar.go", "d.date == old.date || behind && now-old.began < maxBehind", "d.date == old.date"),
	value("days last 24 hours", "calendar.go", "limits.DayStart(d.date+1, c.zone).Sub(wall)", "limits.DayStart(d.date, c.zone).Add(24*time.Hour).Sub(wall)"),
	value("changed minute limits act at once", "rules.go", "wall.Before(minuteAt)", "false"),
	value("changed day limits act with the minute", "rules.go", "wall.Before(dailyAt)", "wall.Before(minuteAt)"),
	value("waits ignore changes ahead", "wait.go", "from == 0 || at.time != never && e.now+int64(e.waitUntil(at)) < from", "true"),
	value("time away does not count", "restore.go", "max(0, today.at(now).Sub(taken).Milliseconds())", "0"),
	value("snapshots lose a millisecond", "restore.go", "l.now+left-l.elapsed-windowMS", "l.now+left-l.elapsed-windowMS-1"),
	value("snapshots are not checked", "restore.go", "sum != want", "false"),
	value("restored calls count twice", "restore.go", "m.imported.IsZero() || past.At.After(m.imported)", "true"),
	statement("strict holds are not released", "settle.go", "s.addLive(-reserved)", ""),
}

// TestMutantsAreFound builds the tests once with all faults in, each behind a
// switch, and runs them for each fault: they must fail. It takes a minute or two
// and runs where PENSTOCK_MUTANTS is set.
func TestMutantsAreFound(t *testing.T) {
	if os.Getenv("PENSTOCK_MUTANTS") == "" {
		t.Skip("PENSTOCK_MUTANTS is not set")
	}
	binary := buildMutants(t)
	if output, failed := runMutant(binary, "none"); failed {
		t.Fatalf("without a fault the tests fail:\n%s", output)
	}
	work := make(chan mutant)
	var group sync.WaitGroup
	for range runtime.NumCPU() {
		group.Go(func() {
			for m := range work {
				began := time.Now()
				output, failed := runMutant(binary, m.name)
				if !failed {
					t.Errorf("nothing finds: %s\n%s", m.name, output)
				}
				t.Logf("%5.1fs %s: %s", time.Since(began).Seconds(), m.name, foundBy(output))
			}
		})
	}
	for _, m := range mutants {
		work <- m
	}
	close(work)
	group.Wait()
}

// foundBy returns the first line that names a test that failed.
func foundBy(output []byte) string {
	for line := range strings.Lines(string(output)) {
		if strings.Contains(line, "--- FAIL") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			return strings.TrimSpace(line)
		}
	}
	return "not found"
}

func runMutant(binary, name string) (output []byte, failed bool) {
	command := exec.Command(binary, "-test.failfast", "-test.timeout=120s", "-rapid.checks=400", "-rapid.shrinktime=1ms")
	command.Env = append(os.Environ(), "PENSTOCK_MUTANTS=", "PENSTOCK_LIMITER_CHECKS=", "PENSTOCK_LIMITER_MUTANT="+name)
	output, err := command.CombinedOutput()
	return output, err != nil
}

// buildMutants compiles the tests of the package with the faults laid over its
// files, and returns the program.
func buildMutants(t *testing.T) string {
	t.Helper()
	directory, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	temporary := t.TempDir()
	sources := map[string]string{"mutated.go": `package limiter

import "os"

var activeMutant = os.Getenv("PENSTOCK_LIMITER_MUTANT")

func mutated(name string) bool { return activeMutant == name }

func choose[T any](name string, fault, right T) T {
	if mutated(name) {
		return fault
	}
	return right
}
`}
	for _, m := range mutants {
		for _, e := range m.edits {
			sources[e.file] = e.apply(t, m.name, sources[e.file])
		}
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range sources {
		file := filepath.Join(temporary, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(directory, name)] = file
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(temporary, "overlay.json")
	if err := os.WriteFile(overlayFile, list, 0o600); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(temporary, "limiter.test")
	if output, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlayFile, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	return binary
}

// apply lays a fault over the text of a file, which is read if it is empty.
func (e edit) apply(t *testing.T, name, text string) string {
	t.Helper()
	if text == "" {
		data, err := os.ReadFile(e.file)
		if err != nil {
			t.Fatal(err)
		}
		text = string(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")))
	}
	if n := strings.Count(text, e.before); n != 1 {
		t.Fatalf("mutant %q: %q occurs %d times in %s", name, e.before, n, e.file)
	}
	with := fmt.Sprintf("if mutated(%q) {\n%s\n} else {\n%s\n}", name, e.after, e.before)
	if e.value {
		with = fmt.Sprintf("choose(%q, %s, %s)", name, e.after, e.before)
	}
	return strings.Replace(text, e.before, with, 1)
}
