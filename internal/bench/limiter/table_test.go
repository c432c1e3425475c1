//go:build linux

package bench

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstockhq/penstock/internal/cputime"
)

var (
	table  = flag.Bool("table", false, "measure and print the table; takes minutes")
	rounds = flag.Int("rounds", 10, "rounds of which the median is taken")
	keys   = flag.Int("keys", 1_000_000, "keys for the memory columns")
)

// column is one kind of work, in CPU time per call.
type column struct {
	name  string
	limit int
	keys  int
	zipf  bool
	fill  int // calls per key before the measurement
}

var columns = []column{
	{name: "1 key admit", limit: 1 << 30, keys: 1},
	{name: "1 key refuse", limit: 60, keys: 1, fill: 60},
	{name: "100k keys, zipf 1.1", limit: 60, keys: 100_000, zipf: true},
	{name: "100k keys in turn, admit", limit: 1 << 30, keys: 100_000, fill: 1},
}

// TestTable prints the comparison as a table for the README.
func TestTable(t *testing.T) {
	if !*table {
		t.Skip("run with -table to measure")
	}
	out := &strings.Builder{}
	fmt.Fprint(out, "| |")
	for _, c := range columns {
		fmt.Fprintf(out, " %s |", c.name)
	}
	fmt.Fprint(out, " B/key, 1 live | B/key, 60 live | over-admission |\n|---|")
	fmt.Fprintln(out, strings.Repeat("---|", len(columns)+3))
	cells := make([][]string, len(peers))
	for _, c := range columns {
		for i, cell := range measure(c) {
			cells[i] = append(cells[i], cell)
		}
	}
	for i, p := range peers {
		fmt.Fprintf(out, "| %s |", p.name)
		for _, cell := range cells[i] {
			fmt.Fprintf(out, " %s |", cell)
		}
		fmt.Fprintf(out, " %.0f | %.0f |", memory(p, 1), memory(p, 60))
		if i == 0 {
			fmt.Fprintln(out, " no window |")
			continue
		}
		fmt.Fprintf(out, " %.2fx |\n", overAdmission(t, p))
	}
	fmt.Fprintf(os.Stdout, "\n%s, %s, %d CPUs; CPU ns per call (x floor, x clocked floor), medians of %d rounds\n\n%s\n",
		time.Now().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), *rounds, out)
}

func name(i int) string { return fmt.Sprintf("pk_0123456789abcdef0123456789%010d", i) }

// measure runs all peers in turns on one kind of work.
func measure(c column) []string {
	const batch, batches = 512, 128
	order := make([]string, 1<<17)
	names := make([]string, c.keys)
	for i := range names {
		names[i] = name(i)
	}
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.1, 1, uint64(c.keys-1))
	permuted := random.Perm(c.keys)
	for i := range order {
		if order[i] = names[permuted[i%c.keys]]; c.zipf {
			order[i] = names[zipf.Uint64()]
		}
	}
	times := make([][]float64, len(peers))
	instances := make([]instance, len(peers))
	positions := make([]int, len(peers))
	for i, p := range peers {
		limit := c.limit
		if strings.HasPrefix(p.name, "caddy") { // its rings are allocated in full
			limit = min(limit, 1<<20/c.keys+60)
		}
		instances[i] = p.make(limit, time.Minute)
		for range c.fill {
			for _, key := range names {
				instances[i].allow(key)
			}
			if instances[i].settle != nil {
				instances[i].settle()
			}
		}
	}
	for range *rounds {
		for i, in := range instances {
			spent := time.Duration(0)
			for range batches {
				before := cputime.Used()
				for range batch {
					in.allow(order[positions[i]&(len(order)-1)])
					positions[i]++
				}
				spent += cputime.Used() - before
				if in.settle != nil {
					in.settle()
				}
			}
			times[i] = append(times[i], float64(spent)/(batch*batches))
		}
	}
	var cells []string
	for i := range times {
		slices.Sort(times[i])
		median := func(k int) float64 { return times[k][len(times[k])/2] }
		slices.Sort(times[0])
		slices.Sort(times[1])
		cells = append(cells, fmt.Sprintf("%.0f (%.1f, %.2f)", median(i), median(i)/median(0), median(i)/median(1)))
		if instances[i].close != nil {
			instances[i].close()
		}
	}
	return cells
}

// memory returns the heap per key at 60 calls a minute.
func memory(p peer, live int) float64 {
	count := *keys
	if live > 1 {
		count /= 10
	}
	names := make([]string, count)
	for i := range names {
		names[i] = name(i)
	}
	before := heap()
	in := p.make(60, time.Minute)
	for range live {
		for i, key := range names {
			in.allow(key)
			if in.settle != nil && i%512 == 0 {
				in.settle()
			}
		}
		if in.settle != nil {
			in.settle()
		}
		if live > 1 && strings.Contains(p.name, "penstock") {
			time.Sleep(2 * time.Millisecond) // another stamp, so that nothing is merged
		}
	}
	used := heap() - before
	runtime.KeepAlive(names)
	if in.close != nil {
		in.close()
	}
	runtime.KeepAlive(in)
	return float64(used) / float64(count)
}

func heap() float64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// overAdmission returns the most calls that a peer lets through in any window,
// relative to the limit, when bursts come around the edges of windows.
func overAdmission(t *testing.T, p peer) float64 {
	const limit = 60
	worst := 0.0
	run := func(window time.Duration) {
		in := p.make(limit, window)
		var admitted []time.Time
		burst := func() {
			for range 2 * limit {
				if in.allow("key") {
					admitted = append(admitted, time.Now())
				}
			}
		}
		wait := func(windows float64) { time.Sleep(time.Duration(windows * float64(window))) }
		for _, steps := range [][]float64{{0.99, 0.02}, {0.99, 0.99}, {0.5, 0.98}} {
			wait(float64(4*window-time.Duration(time.Now().UnixNano())%window) / float64(window)) // idle, up to an edge
			in.allow("key")
			admitted = append(admitted, time.Now())
			for _, step := range steps {
				wait(step)
				burst()
			}
		}
		if in.close != nil {
			in.close()
		}
		first := 0
		for i, at := range admitted {
			for !admitted[first].After(at.Add(-window)) {
				first++
			}
			worst = max(worst, float64(i-first+1)/limit)
		}
	}
	if p.ownClock {
		run(2 * time.Second)
	} else {
		synctest.Test(t, func(*testing.T) { run(time.Minute) })
	}
	return worst
}

// TestOverAdmission holds the table's last column to what it says of this
// repository's limiter: exactly the limit, never more.
func TestOverAdmission(t *testing.T) {
	for _, p := range peers {
		if !strings.Contains(p.name, "penstock") {
			continue
		}
		if over := overAdmission(t, p); over != 1 {
			t.Errorf("%s admits %.2f times the limit", p.name, over)
		}
	}
}
