package ledger_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/cputime"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
)

var benchCall = ledger.Quantity{InputTokens: 100, OutputTokens: 200, Duration: 3 * time.Millisecond}

// parallel runs n calls on a number of callers and returns calls per second and the
// processor time of one.
func parallel(b *testing.B, n, callers int, call func(caller int) error) (perSecond float64, each time.Duration) {
	b.Helper()
	var taken atomic.Int64
	var group sync.WaitGroup
	before, start := cputime.Used(), time.Now()
	for caller := range callers {
		group.Go(func() {
			for taken.Add(1) <= int64(n) {
				if err := call(caller); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	elapsed := time.Since(start)
	return float64(n) / elapsed.Seconds(), (cputime.Used() - before) / time.Duration(n)
}

// callOnce holds and settles.
func callOnce(ctx context.Context, l *ledger.Ledger, key string) error {
	h, err := l.Hold(ctx, ledger.HoldRequest{KeyID: key, Model: "tiny", Worst: ledger.Quantity{Duration: time.Second}, RequestID: "0123456789abcdef"})
	if err != nil {
		return err
	}
	_, err = l.Settle(ctx, h.ID, ledger.Settlement{Quantity: benchCall})
	return err
}

// BenchmarkSettle measures durable settlements, and the same with a table of
// accounts, keys and usage that is updated in place, in the same run. How many
// accounts there are hardly matters to a log, but decides how many pages the
// tables' updates touch.
func BenchmarkSettle(b *testing.B) {
	for _, size := range []struct{ callers, accounts int }{{1, 100_000}, {16, 100_000}, {256, 100_000}, {256, 10_000}} {
		callers := size.callers
		b.Run(fmt.Sprintf("callers=%d/accounts=%d", callers, size.accounts), func(b *testing.B) {
			l := open(b, b.TempDir())
			keys := fundedKeys(b, l, size.accounts)
			b.ResetTimer()
			perSecond, each := parallel(b, b.N, callers, func(int) error { return callOnce(b.Context(), l, keys[rand.IntN(len(keys))]) })
			b.StopTimer()
			baseline := openRows(b, filepath.Join(b.TempDir(), "rows.db"), keys)
			basePerSecond, baseEach := parallel(b, b.N, callers, func(int) error { return baseline.settle(keys[rand.IntN(len(keys))]) })
			b.ReportMetric(perSecond, "settles/s")
			b.ReportMetric(float64(each.Nanoseconds())/1000, "cpu-us/settle")
			b.ReportMetric(basePerSecond, "rows-settles/s")
			b.ReportMetric(perSecond/basePerSecond, "x-rows")
			b.ReportMetric(float64(baseEach)/float64(each), "x-rows-cpu")
		})
	}
}

// rowStore is the baseline: three rows updated and one appended for each call, with
// the same pragmas and the same way to gather commits.
type rowStore struct {
	db      *sql.DB
	mu      sync.Mutex
	queue   []string
	waiting chan error
	wake    chan struct{}
}

func openRows(b *testing.B, path string, keys []string) *rowStore {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)")
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER, spent INTEGER);
		CREATE TABLE key (id TEXT PRIMARY KEY, spent INTEGER);
		CREATE TABLE usage (key TEXT, model TEXT, day INTEGER, requests INTEGER, input INTEGER, output INTEGER, charged INTEGER, PRIMARY KEY (key, model, day));
		CREATE TABLE entry (seq INTEGER PRIMARY KEY, at INTEGER, kind TEXT, account TEXT, key TEXT, model TEXT, request TEXT, hold INTEGER,
			input INTEGER, output INTEGER, duration INTEGER, amount INTEGER, balance INTEGER, usage TEXT, outcome TEXT);
	`); err != nil {
		b.Fatal(err)
	}
	for at := 0; at < len(keys); at += 500 { // rows that exist, as after the first day
		some := strings.Repeat("(?, 1 << 50, 0),", min(500, len(keys)-at))
		values := make([]any, 0, 500)
		for _, key := range keys[at:min(at+500, len(keys))] {
			values = append(values, key)
		}
		if _, err := db.Exec("INSERT INTO account VALUES "+strings.TrimSuffix(some, ","), values...); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := db.Exec("INSERT INTO key SELECT id, 0 FROM account; INSERT INTO usage SELECT id, 'tiny', 1, 0, 0, 0, 0 FROM account"); err != nil {
		b.Fatal(err)
	}
	s := &rowStore{db: db, waiting: make(chan error), wake: make(chan struct{}, 1)}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); s.loop(stop) }()
	b.Cleanup(func() { close(stop); <-done; _ = db.Close() })
	return s
}

func (s *rowStore) settle(key string) error {
	s.mu.Lock()
	s.queue = append(s.queue, key)
	answer := s.waiting
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	if err, failed := <-answer; failed {
		return err
	}
	return nil
}

func (s *rowStore) loop(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-s.wake:
		}
		s.mu.Lock()
		queue, answer := s.queue, s.waiting
		s.queue, s.waiting = nil, make(chan error)
		s.mu.Unlock()
		if err := s.commit(queue); err != nil {
			panic(err)
		}
		close(answer)
	}
}

func (s *rowStore) commit(keys []string) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	statements := make([]*sql.Stmt, 0, 4)
	for _, text := range []string{
		"UPDATE account SET balance = balance - ?2, spent = spent + ?2 WHERE id = ?1",
		"INSERT INTO key VALUES (?1, ?2) ON CONFLICT DO UPDATE SET spent = spent + ?2",
		"INSERT INTO usage VALUES (?1, 'tiny', 1, 1, 100, 200, ?2) ON CONFLICT DO UPDATE SET requests = requests + 1, input = input + 100, output = output + 200, charged = charged + ?2",
		`INSERT INTO entry (at, kind, account, key, model, request, hold, input, output, duration, amount, balance, usage, outcome)
			VALUES (1 << 50, 'settle', ?1, ?1, 'tiny', '0123456789abcdef', 1 << 41, 100, 200, 3000, ?2, 1 << 39, 'reported', 'ok')`,
	} {
		statement, err := tx.Prepare(text)
		if err != nil {
			return err
		}
		statements = append(statements, statement)
	}
	for _, key := range keys {
		for _, statement := range statements {
			if _, err := statement.Exec(key, 50); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

// BenchmarkEndOfAnswer measures what waiting for the charge adds to the end of an
// answer, against a bare write and sync on the same disk: alone, and while 64
// calls run that take 10 ms on average, when commits wait for company.
func BenchmarkEndOfAnswer(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			directory := b.TempDir()
			l := open(b, directory)
			key, _ := member(b, l, ledger.NewKey{}, 1e9*ledger.Credit)
			file, err := os.Create(filepath.Join(directory, "raw"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			var waits, syncs []time.Duration
			for b.Loop() {
				waits = append(waits, endCalls(b, l, key.ID, callers)...)
				syncs = append(syncs, rawSync(b, file))
			}
			slices.Sort(waits)
			slices.Sort(syncs)
			wait, sync := waits[len(waits)/2], syncs[len(syncs)/2]
			b.ReportMetric(float64(wait.Microseconds()), "p50-us")
			b.ReportMetric(float64(sync.Microseconds()), "fdatasync-p50-us")
			b.ReportMetric(float64(wait)/float64(2*sync+time.Millisecond), "of-allowed")
		})
	}
}

// endCalls has callers make calls and returns how long each waited for its charge.
func endCalls(b *testing.B, l *ledger.Ledger, key string, callers int) []time.Duration {
	b.Helper()
	waits := make([]time.Duration, 0, callers*callers)
	var mutex sync.Mutex
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for range callers {
				h, err := l.Hold(b.Context(), ledger.HoldRequest{KeyID: key, Model: "tiny", Worst: ledger.Quantity{Duration: time.Second}})
				if err != nil {
					b.Error(err)
					return
				}
				if callers > 1 {
					time.Sleep(rand.N(20 * time.Millisecond))
				}
				start := time.Now()
				if _, err := l.Settle(b.Context(), h.ID, ledger.Settlement{Quantity: benchCall}); err != nil {
					b.Error(err)
					return
				}
				wait := time.Since(start)
				mutex.Lock()
				waits = append(waits, wait)
				mutex.Unlock()
			}
		})
	}
	group.Wait()
	return waits
}

// rawSync returns how long a bare write and sync take.
func rawSync(b *testing.B, file *os.File) time.Duration {
	b.Helper()
	start := time.Now()
	if _, err := file.Write(make([]byte, 4096)); err != nil {
		b.Fatal(err)
	}
	if err := dataSync(file); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// importKeys makes many keys without waiting for each.
func importKeys(b *testing.B, l *ledger.Ledger, n int) {
	b.Helper()
	var group sync.WaitGroup
	var next atomic.Int64
	for range 512 {
		group.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				name := strconv.FormatInt(i, 10)
				request := ledger.NewKey{Name: "key " + name, Owner: "owner" + strconv.FormatInt(i%1000, 10), Limits: []limits.Row{{RPM: 60, TPM: 30_000}}}
				if _, err := l.ImportKey(b.Context(), request, sha256.Sum256([]byte("key "+name)), ""); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// fundedKeys makes keys of their own accounts, with credit.
func fundedKeys(b *testing.B, l *ledger.Ledger, n int) []string {
	b.Helper()
	keys := make([]string, n)
	var group sync.WaitGroup
	var next atomic.Int64
	for range 512 {
		group.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				key, _, err := l.CreateKey(b.Context(), ledger.NewKey{Name: "k", Owner: "owner" + strconv.Itoa(i)})
				if err == nil {
					_, err = l.TopUp(b.Context(), key.Owner, 1e6*ledger.Credit, "for "+key.ID)
				}
				if err != nil {
					b.Error(err)
					return
				}
				keys[i-1] = key.ID
			}
		})
	}
	group.Wait()
	return keys
}

// BenchmarkAdmit measures authentication and admission with 100,000 keys.
func BenchmarkAdmit(b *testing.B) {
	l := open(b, b.TempDir())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const keys = 100_000
	importKeys(b, l, keys)
	runtime.GC()
	runtime.ReadMemStats(&after)
	texts := make([]string, 1000)
	for i := range texts {
		_, texts[i] = member(b, l, ledger.NewKey{Owner: "owner" + strconv.Itoa(i), Limits: []limits.Row{{RPM: 60}}}, 1000*ledger.Credit)
	}
	b.Run("authenticate", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := l.Authenticate(texts[i%len(texts)]); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/keys, "B/key")
	})
	b.Run("garbage", func(b *testing.B) {
		b.ReportAllocs()
		garbage := "pk_m_" + texts[0][8:] + "xyz"
		for b.Loop() {
			if _, err := l.Authenticate(garbage); err == nil {
				b.Fatal("authenticated")
			}
		}
	})
	b.Run("authenticate+hold+void", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			key, err := l.Authenticate(texts[i%len(texts)])
			if err != nil {
				b.Fatal(err)
			}
			h, err := l.Hold(b.Context(), ledger.HoldRequest{KeyID: key.ID, Model: "tiny", Worst: ledger.Quantity{Duration: time.Second}})
			if err != nil {
				b.Fatal(err)
			}
			if err := l.Void(b.Context(), h.ID, ledger.OutcomeOK); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for i := 0; b.Loop(); i++ { // the last page of what matches, so that all keys are looked at
			if _, _, err := l.ListKeys(ledger.KeyQuery{Name: "no such name", Limit: 100}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHotOwner compares one owner for all calls with a thousand owners. One
// round is enough: it makes 200,000 calls.
func BenchmarkHotOwner(b *testing.B) {
	measure := func(owners int) time.Duration {
		l := open(b, b.TempDir())
		keys := fundedKeys(b, l, owners)
		var turn atomic.Int64
		_, each := parallel(b, 100_000, 256, func(int) error { return callOnce(b.Context(), l, keys[int(turn.Add(1))%owners]) })
		return each
	}
	one, many := measure(1), measure(1000)
	b.ReportMetric(float64(one)/float64(many), "hot/1000-cpu")
}
