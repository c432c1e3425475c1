package simulator

import (
	"testing"
	"time"
)

func TestQuantilesAreOfTheList(t *testing.T) {
	var list []time.Duration
	for i := range 100 {
		list = append(list, time.Duration(100-i))
	}
	if quantile(list, .5) != 50 || quantile(list, .95) != 95 || quantile(list, 1) != 100 || quantile(nil, .5) != 0 {
		t.Errorf("%d %d %d", quantile(list, .5), quantile(list, .95), quantile(list, 1))
	}
}

func TestATargetIsMetByBothTimes(t *testing.T) {
	for _, test := range []struct {
		result Result
		want   bool
	}{
		{Result{Calls: 1, TTFT95: time.Second, TPOT95: 75 * time.Millisecond}, true},
		{Result{Calls: 1, TTFT95: time.Second + 1, TPOT95: 1}, false},
		{Result{Calls: 1, TTFT95: 1, TPOT95: 76 * time.Millisecond}, false},
		{Result{}, false},
	} {
		if test.result.Meets(DefaultTarget) != test.want {
			t.Errorf("%+v", test.result)
		}
	}
}

func TestTheMeanOfResults(t *testing.T) {
	mean := Mean([]Result{{Hit: .2, TTFT95: 10, LongestIdle: 3}, {Hit: .4, TTFT95: 20, LongestIdle: 1}})
	if mean.TTFT95 != 15 || mean.Hit < .29 || mean.Hit > .31 || mean.LongestIdle != 3 {
		t.Errorf("%+v", mean)
	}
}
