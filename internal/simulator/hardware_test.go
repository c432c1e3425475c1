package simulator

import "testing"

func TestSlowerHardwareTakesLongerForEverything(t *testing.T) {
	for _, hardware := range []Hardware{H100, A100} {
		fast, slow := newEngine(hardware), newEngine(hardware.Slower(3))
		one, two := &Request{Prompt: []Segment{{1, 3000, "user"}}, Output: 50}, &Request{Prompt: []Segment{{1, 3000, "user"}}, Output: 50}
		if ratio := serve(slow, one).Seconds() / serve(fast, two).Seconds(); ratio < 2.99 || ratio > 3.01 {
			t.Errorf("%s takes %.2f times as long", hardware.Name, ratio)
		}
	}
}
