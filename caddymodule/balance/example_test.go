package balance_test

import (
	"fmt"

	"github.com/penstockhq/penstock/caddymodule/balance"
)

// cluster is a Pool whose upstreams are all available.
type cluster struct{ inFlight []int }

func (cluster) Available(int) bool   { return true }
func (c cluster) InFlight(i int) int { return c.inFlight[i] }

// Both servers have the model "small"; the first has no slot left.
func ExampleWeighted_Pick() {
	upstreams := []balance.Upstream{
		{Address: "gpu1:8000", Weight: new(3), Slots: 16},
		{Address: "gpu2:8000", Slots: 8, Models: []string{"small"}},
	}
	choice, err := balance.NewWeighted(upstreams)
	if err != nil {
		fmt.Println(err)
		return
	}
	pool := cluster{inFlight: []int{16, 5}}
	for _, model := range []string{"small", "large"} {
		if i, ok := choice.Pick(model, pool); ok {
			fmt.Println(model, "runs on", upstreams[i].Address)
		}
	}
	// Output:
	// small runs on gpu2:8000
	// large runs on gpu1:8000
}
