//go:build linux

package load

import (
	"bufio"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// latencies are those of the calls of one round.
type latencies []time.Duration

// quantile returns the latency that a share of the calls did not exceed.
func (l latencies) quantile(share float64) time.Duration {
	slices.Sort(l)
	return l[min(int(share*float64(len(l))), len(l)-1)]
}

// pace makes calls at a fixed rate, each on the next connection that is free, and
// returns how long they took. A call's time begins when it was due, so that callers
// who wait for a slow gateway do not hide its slowness.
func (c *callers) pace(requests [][]byte, perSecond, count int) latencies {
	c.b.Helper()
	took := make(latencies, count)
	type arrival struct {
		i   int
		due time.Time
	}
	arrivals := make(chan arrival, count)
	var all sync.WaitGroup
	for _, connection := range c.connections {
		all.Go(func() {
			in := bufio.NewReader(connection)
			for a := range arrivals {
				if err := call(connection, in, requests[rand.IntN(len(requests))], http.StatusOK); err != nil {
					c.b.Error(err)
					return
				}
				took[a.i] = time.Since(a.due)
			}
		})
	}
	start := time.Now()
	for i := range count {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(due))
		arrivals <- arrival{i, due}
	}
	close(arrivals)
	all.Wait()
	if c.b.Failed() {
		c.b.FailNow()
	}
	return took
}
