package simulator

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Line is what a router did with a workload.
type Line struct {
	Workload string  `json:"workload"`
	Router   string  `json:"router"`
	Rate     float64 `json:"rate"`
	Result   Result  `json:"result"`
	Capacity float64 `json:"capacity,omitempty"` // 0: not looked for
}

// Compare runs a workload at its own rate with each router, in the mean of some seeds.
func Compare(workload Workload, routers []Named, seeds int) []Line {
	lines := make([]Line, 0, len(routers))
	for _, router := range routers {
		results := make([]Result, seeds)
		for seed := range results {
			config := workload.Config()
			config.Seed += uint64(seed)
			results[seed] = Simulate(config, router.Make)
		}
		lines = append(lines, Line{Workload: workload.Name, Router: router.Name, Rate: workload.Rate, Result: Mean(results)})
	}
	return lines
}

// WriteTable writes lines for people.
func WriteTable(w io.Writer, lines []Line) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "workload\trouter\trate\tTTFT p50\tp95\tTPOT p95\thit\tserved\ttokens/s\tidle\tcapacity\t")
	for _, line := range lines {
		result := &line.Result
		capacity := "-"
		if line.Capacity > 0 {
			capacity = fmt.Sprintf("%.2f", line.Capacity)
		}
		fmt.Fprintf(table, "%s\t%s\t%.2f\t%s\t%s\t%s\t%.2f\t%.3f\t%.0f\t%.1fs\t%s\t\n", line.Workload, line.Router, line.Rate,
			milliseconds(result.TTFT50), milliseconds(result.TTFT95), milliseconds(result.TPOT95), result.Hit,
			float64(result.Served)/float64(max(1, result.Calls)), result.OutputRate, result.LongestIdle.Seconds(), capacity)
	}
	return table.Flush()
}

func milliseconds(d time.Duration) string {
	if d >= never {
		return "never"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
