//go:build linux

package limiter

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/penstockhq/penstock/internal/cputime"
	"github.com/penstockhq/penstock/limits"
)

// The benchmarks run next to two baselines, to be read as ratios of one run:
// floor is a mutex and a map of counters, the least that could be called a
// limiter; clocked is a fixed window from first use, the least that limits
// anything per minute, and over-admits up to 2x. internal/bench/limiter compares other
// limiters, in CPU time.

// threadTime returns the CPU time of the thread.
func threadTime() time.Duration {
	var now syscall.Timespec
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&now)), 0)
	return time.Duration(now.Nano())
}

type floor struct {
	mu     sync.Mutex
	counts map[string]int64
}

func (f *floor) allow(key string, limit int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts[key] >= limit {
		return false
	}
	f.counts[key]++
	return true
}

type clocked struct {
	mu      sync.Mutex
	windows map[string]fixedWindow
}

type fixedWindow struct {
	began time.Time
	count int64
}

func (c *clocked) allow(key string, limit int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	w, known := c.windows[key]
	if !known || now.Sub(w.began) >= time.Minute {
		w = fixedWindow{began: now}
	}
	if w.count >= limit {
		return false
	}
	w.count++
	c.windows[key] = w
	return true
}

// wide are four limits that admit everything, so that admissions are measured.
var wide = limits.Row{RPM: 1 << 40, TPM: 1 << 50, RPD: 1 << 31, TPD: 1 << 50, MaxInFlight: 1 << 30}

// contender is one of the things that are compared. It runs n operations and
// returns the CPU time that those took.
type contender struct {
	name string
	run  func(n int) time.Duration
}

// timed measures all of what act does.
func timed(act func()) func(n int) time.Duration {
	return func(n int) time.Duration {
		before := cputime.Used()
		for range n {
			act()
		}
		return cputime.Used() - before
	}
}

// compare runs the contenders in turns and reports, as medians over the rounds,
// CPU time and the ratios to the first two, which are the baselines.
func compare(b *testing.B, contenders []contender) {
	const operations = 1 << 16
	times := make([][]float64, len(contenders))
	for b.Loop() {
		for i, c := range contenders {
			times[i] = append(times[i], float64(c.run(operations))/operations)
		}
	}
	median := func(i int) float64 {
		slices.Sort(times[i])
		return times[i][len(times[i])/2]
	}
	for i, c := range contenders {
		b.ReportMetric(median(i), c.name+"-ns")
		if i > 1 {
			b.ReportMetric(median(i)/median(0), c.name+"/floor")
			b.ReportMetric(median(i)/median(1), c.name+"/clocked")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// reserver returns a run that measures admissions. They are settled in batches
// outside the measurement, as calls do end some time.
func reserver(m *Memory, next func() Request) func(n int) time.Duration {
	handles := make([]Handle, 0, 512)
	return func(n int) time.Duration {
		spent := time.Duration(0)
		for ; n > 0; n -= cap(handles) {
			before := cputime.Used()
			for range cap(handles) {
				decision, _ := m.Reserve(background, next())
				handles = append(handles, decision.Handle)
			}
			spent += cputime.Used() - before
			for _, handle := range handles {
				m.Settle(background, handle, Tokens{500, 500})
			}
			handles = handles[:0]
		}
		return spent
	}
}

// BenchmarkHotKey compares calls of one key, with four limits and calls in flight
// on the key and the same on its use of a model.
func BenchmarkHotKey(b *testing.B) {
	name := key(1)
	f := &floor{counts: map[string]int64{}}
	c := &clocked{windows: map[string]fixedWindow{}}
	request := Request{
		Key: name, Model: "tiny", Tokens: Tokens{500, 500}, Timeout: time.Minute,
		Rows: []limits.Binding{{Row: wide}, {Row: wide.For("tiny")}},
	}
	full := request
	full.Rows = []limits.Binding{{Row: limits.Row{RPM: 60, TPM: 1 << 50, RPD: 1 << 31, TPD: 1 << 50, MaxInFlight: 1 << 30}}, {Row: wide.For("tiny")}}
	refusing, reserving, settling := New(), New(), New()
	for range 60 {
		refusing.Reserve(background, full)
	}
	compare(b, []contender{
		{"floor", timed(func() { f.allow(name, 1<<40) })},
		{"clocked", timed(func() { c.allow(name, 1<<40) })},
		{"reserve", reserver(reserving, func() Request { return request })},
		{"settled", timed(func() {
			decision, _ := settling.Reserve(background, request)
			settling.Settle(background, decision.Handle, Tokens{500, 200})
		})},
		{"refuse", timed(func() { refusing.Reserve(background, full) })},
	})
}

// BenchmarkColdKeys compares calls that each come from another of 100,000 keys.
func BenchmarkColdKeys(b *testing.B) {
	const keys = 100_000
	names := make([]string, keys)
	for i := range names {
		names[i] = key(i)
	}
	order := rand.New(rand.NewPCG(1, 2)).Perm(keys)
	f := &floor{counts: map[string]int64{}}
	c := &clocked{windows: map[string]fixedWindow{}}
	m := New()
	rows := []limits.Binding{{Row: wide}, {Row: wide.For("tiny")}}
	walk := func() func() string {
		i := 0
		return func() string {
			if i++; i == keys {
				i = 0
			}
			return names[order[i]]
		}
	}
	first, second, third := walk(), walk(), walk()
	for range keys {
		f.allow(first(), 1<<40)
		c.allow(second(), 1<<40)
		admitted, _ := m.Reserve(background, Request{Key: third(), Model: "tiny", Rows: rows})
		m.Settle(background, admitted.Handle, Tokens{})
	}
	compare(b, []contender{
		{"floor", timed(func() { f.allow(first(), 1<<40) })},
		{"clocked", timed(func() { c.allow(second(), 1<<40) })},
		{"reserve", reserver(m, func() Request {
			return Request{Key: third(), Model: "tiny", Tokens: Tokens{500, 500}, Rows: rows}
		})},
	})
}

// BenchmarkAllocations reports that a call allocates nothing.
func BenchmarkAllocations(b *testing.B) {
	m := New()
	request := Request{Key: key(1), Model: "tiny", Rows: []limits.Binding{{Row: wide}, {Row: wide.For("tiny")}}}
	b.ReportAllocs()
	for b.Loop() {
		decision, _ := m.Reserve(background, request)
		m.Settle(background, decision.Handle, Tokens{500, 200})
	}
}

// fill makes n keys with some live requests each.
func fill(clock *fakeClock, n, live int) *Memory {
	m := New(WithClock(clock))
	for range live {
		for i := range n {
			decision, _ := m.Reserve(background, Request{Key: key(i)})
			m.Settle(background, decision.Handle, Tokens{})
		}
		clock.advance(time.Second)
	}
	return m
}

// BenchmarkMemory reports the heap per scope.
func BenchmarkMemory(b *testing.B) {
	for _, test := range []struct{ keys, live int }{{1_000_000, 1}, {200_000, 60}} {
		b.Run(fmt.Sprint(test.live, " live"), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				m := fill(newFakeClock(), test.keys, test.live)
				b.ReportMetric(float64(heap()-before)/float64(test.keys), "B/scope")
				runtime.KeepAlive(m)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// BenchmarkCollection reports the CPU time of one garbage collection, without
// any key and with a million.
func BenchmarkCollection(b *testing.B) {
	for _, keys := range []int{0, 1_000_000} {
		b.Run(fmt.Sprint(keys, " keys"), func(b *testing.B) {
			m := fill(newFakeClock(), keys, 1)
			runtime.GC()
			before := cputime.Used()
			for b.Loop() {
				runtime.GC()
			}
			b.ReportMetric(float64((cputime.Used()-before).Microseconds())/1e3/float64(b.N), "cpu-ms/GC")
			runtime.KeepAlive(m)
		})
	}
}

// BenchmarkGrowth reports how long single calls take, in CPU time of their
// thread, while a million keys come: nearly all of that under the lock.
func BenchmarkGrowth(b *testing.B) {
	const keys = 1_000_000
	names := make([]string, keys)
	for i := range names {
		names[i] = key(i)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	times := make([]time.Duration, keys)
	for b.Loop() {
		m := New()
		for i, name := range names {
			before := threadTime()
			m.Reserve(background, Request{Key: name})
			times[i] = threadTime() - before
		}
	}
	slices.Sort(times)
	for _, quantile := range []struct {
		name string
		of   float64
	}{{"p50", 0.5}, {"p99.99", 0.9999}, {"max", 1}} {
		b.ReportMetric(float64(times[min(keys-1, int(quantile.of*keys))].Nanoseconds())/1e3, quantile.name+"-us")
	}
}

// BenchmarkRandomKeys reports what ten million keys that come once leave behind.
func BenchmarkRandomKeys(b *testing.B) {
	for b.Loop() {
		m, before := New(), heap()
		for i := range 10_000_000 {
			decision, _ := m.Reserve(background, Request{Key: key(i)})
			m.Settle(background, decision.Handle, Tokens{})
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB")
		b.ReportMetric(float64(m.scopes.Load()), "scopes")
		runtime.KeepAlive(m)
	}
}
