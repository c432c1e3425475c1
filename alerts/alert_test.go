package alerts

import "testing"

func TestThePercentageOfALevelIsRoundedDown(t *testing.T) {
	for _, c := range []struct {
		used, limit int64
		want        int
	}{
		{0, 10, 0},
		{-1, 10, 0},
		{799, 1000, 79},
		{800, 1000, 80},
		{10, 10, 100},
		{25, 10, 250},
		{1<<53 - 1, 1<<53 - 1, 100},
		{1 << 53, 1, 1000},
		{0, 0, 100},
		{5, -1, 100},
	} {
		level := Level{Used: c.used, Limit: c.limit}
		if got := level.percent(); got != c.want {
			t.Errorf("%d of %d is %d%%, want %d%%", c.used, c.limit, got, c.want)
		}
	}
}
