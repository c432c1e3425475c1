package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

const (
	// childDirectory names the ledger that a child of the test works on.
	childDirectory = "PENSTOCK_TEST_CHILD_DIRECTORY"
	// childCalls, if set, is the number of calls that the child starts and does not end.
	childCalls = "PENSTOCK_TEST_CHILD_CALLS"
)

func TestMain(m *testing.M) {
	if directory := os.Getenv(childDirectory); directory != "" {
		if err := child(directory); err != nil {
			fmt.Println("child failed:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// child serves calls and top-ups as fast as it can and prints what it promised,
// until it is killed.
func child(directory string) error {
	ctx := context.Background()
	store, err := sqlitestore.Open(ctx, directory)
	if err != nil {
		return err
	}
	l, err := ledger.Open(ctx, store, ledger.WithSnapshotEvery(300))
	if err != nil {
		return err
	}
	keys, _, err := l.ListKeys(ledger.KeyQuery{})
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		key, _, err := l.CreateKey(ctx, ledger.NewKey{Name: "k", Owner: "acme"})
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	var printing sync.Mutex
	say := func(format string, arguments ...any) {
		printing.Lock()
		defer printing.Unlock()
		fmt.Printf(format, arguments...)
	}
	if text := os.Getenv(childCalls); text != "" {
		return startCalls(ctx, l, keys[0].ID, text, say)
	}
	say("ready\n")
	var clients sync.WaitGroup
	for client := range 16 {
		clients.Go(func() { serve(ctx, l, keys[0].ID, client, say) })
	}
	clients.Wait()
	return errors.New("the ledger stopped")
}

// serve is one client of the child.
func serve(ctx context.Context, l *ledger.Ledger, key string, client int, say func(string, ...any)) {
	for call := 0; ; call++ {
		if client == 0 && call%8 == 0 {
			reference := fmt.Sprintf("%d/%d", os.Getpid(), call)
			result, err := l.TopUp(ctx, "acme", 1000, reference)
			if err != nil {
				return
			}
			say("%d topup 1000\n", result.Sequence)
		}
		hold, err := l.Hold(ctx, ledger.HoldRequest{KeyID: key, Model: "m", Worst: ledger.Quantity{Duration: 2 * time.Millisecond}, Stream: client%2 == 0})
		var credit *ledger.CreditError
		if errors.As(err, &credit) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return
		}
		used := ledger.Quantity{Duration: time.Duration(client*call%2000) * time.Microsecond}
		if err := l.Checkpoint(hold.ID, ledger.Quantity{Duration: used.Duration / 2}); err != nil {
			return
		}
		charge, err := l.Settle(ctx, hold.ID, ledger.Settlement{Quantity: used})
		if err != nil {
			return
		}
		say("%d settle %d\n", charge.Sequence, charge.Amount)
	}
}

// startCalls starts calls that are no streams, and waits to be killed.
func startCalls(ctx context.Context, l *ledger.Ledger, key, count string, say func(string, ...any)) error {
	calls, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	for call := range calls {
		hold, err := l.Hold(ctx, ledger.HoldRequest{KeyID: key, Model: "m", RequestID: fmt.Sprint(os.Getpid(), "-", call)})
		if err != nil {
			return err
		}
		say("%d started %d\n", call, hold.ID)
	}
	say("ready\n")
	select {}
}

// rounds returns how many rounds a slow test makes: usual, or what a variable of
// the environment says.
func rounds(t *testing.T, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		if testing.Short() {
			return min(usual, 5)
		}
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAKilledProcessLosesAndDoublesNothing kills a working process again and again
// and looks for everything that it promised. PENSTOCK_KILLS sets how often.
func TestAKilledProcessLosesAndDoublesNothing(t *testing.T) {
	directory := t.TempDir()
	promised := map[int64]string{}
	for round := range rounds(t, "PENSTOCK_KILLS", 60) {
		promises := killOne(t, directory, time.Duration(5+rand.IntN(100))*time.Millisecond)
		found := map[int64]string{}
		store, err := sqlitestore.OpenReader(t.Context(), directory)
		if err != nil {
			t.Fatal(err)
		}
		var from int64 = 1 << 62
		for sequence := range promises {
			from = min(from, sequence-1)
		}
		err = store.Replay(t.Context(), from, func(e *ledger.Entry) error {
			found[e.Sequence] = fmt.Sprintf("%s %d", e.Kind, e.Amount)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for sequence, promise := range promises {
			if found[sequence] != promise {
				t.Fatalf("round %d: entry %d: promised %q, found %q", round, sequence, promise, found[sequence])
			}
			if earlier, twice := promised[sequence]; twice {
				t.Fatalf("round %d: entry %d was promised before, as %q", round, sequence, earlier)
			}
			promised[sequence] = promise
		}
		if round%10 == 0 {
			if _, err := ledger.Verify(t.Context(), store); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	store, err := sqlitestore.OpenReader(t.Context(), directory)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	report, err := ledger.Verify(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if len(promised) == 0 || report.Calls == 0 {
		t.Fatalf("nothing was promised: %+v", report)
	}
	t.Logf("%d promises kept, %+v", len(promised), report)
}

// killOne runs a child, kills it after a while, and returns what it promised.
func killOne(t *testing.T, directory string, after time.Duration) map[int64]string {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childDirectory+"="+directory)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	promises, ready := map[int64]string{}, false
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		line := lines.Text()
		if line == "ready" {
			ready = true
			time.AfterFunc(after, func() { _ = command.Process.Kill() })
			continue
		}
		number, promise, ok := strings.Cut(line, " ")
		sequence, err := strconv.ParseInt(number, 10, 64)
		if !ok || err != nil || strings.Count(promise, " ") != 1 {
			if lines.Scan() { // only the last line may be cut off
				t.Errorf("child said %q", line)
			}
			break
		}
		promises[sequence] = promise
	}
	_ = command.Wait() // it was killed
	if !ready {
		t.Fatal("child did not open the ledger")
	}
	return promises
}

// TestAKilledProcessLeavesAnEntryForEachCallThatRan kills a process some time after it
// started calls, and no commit came but what the ledger makes by itself.
func TestAKilledProcessLeavesAnEntryForEachCallThatRan(t *testing.T) {
	directory := t.TempDir()
	var want int64
	for round, calls := range []int64{1, 40, 2500} {
		t.Setenv(childCalls, strconv.FormatInt(calls, 10))
		killOne(t, directory, time.Second)
		want += calls
		store, err := sqlitestore.Open(t.Context(), directory)
		if err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		var counted int64
		holds := map[ledger.HoldID]bool{}
		entries, err := l.FindEntries(t.Context(), ledger.EntryQuery{Kinds: []ledger.Kind{ledger.KindVoid}, Limit: 10_000})
		for _, e := range entries {
			if holds[e.Hold] || e.Outcome != ledger.OutcomeInterrupted || e.RequestID == "" {
				t.Errorf("round %d: %+v", round, e)
			}
			holds[e.Hold] = true
		}
		rows, usageErr := l.Usage(t.Context(), ledger.UsageQuery{})
		for _, row := range rows {
			counted += row.Requests
		}
		if err := errors.Join(err, usageErr, l.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		if int64(len(holds)) != want || counted != want {
			t.Errorf("round %d: %d calls have an entry and %d are counted, want %d", round, len(holds), counted, want)
		}
	}
}
