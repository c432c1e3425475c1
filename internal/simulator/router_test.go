package simulator

import (
	"testing"
	"time"
)

func TestCountersReturnToZero(t *testing.T) {
	for _, router := range Ladder() {
		c, ok := made(t, router, 3).(interface {
			Router
			open() int
		})
		if !ok {
			continue
		}
		for id := range uint64(30) {
			q := question(id, 1000)
			q.Engine = c.Route(q)
			if id%2 == 0 {
				c.FirstByte(q)
				q.First = time.Second
			}
			c.Ended(q)
		}
		if c.open() != 0 {
			t.Errorf("%s counts %d after all calls", router.Name, c.open())
		}
	}
}

// open returns what is counted.
func (c *counters) open() int {
	sum := 0
	for i := range c.calls {
		sum += c.calls[i] + c.prefill[i]
	}
	return sum
}
