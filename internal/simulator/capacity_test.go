package simulator

import (
	"math"
	"testing"
	"time"
)

func TestTheCapacityIsWhereTheTargetIsJustMet(t *testing.T) {
	config := brief(RAG, 40*time.Second)
	config.Engines = Four[:1]
	config.Rate = 2
	capacity := Capacity(config, LeastConn, DefaultTarget, 1)
	for rate, want := range map[float64]bool{capacity: true, 1.5 * capacity: false} {
		config.Rate = rate
		if result := Simulate(config, LeastConn.Make); result.Meets(DefaultTarget) != want {
			t.Errorf("at %.2f of a capacity of %.2f: %+v", rate, capacity, result)
		}
	}
}

func TestTheGeometricMean(t *testing.T) {
	if got := GeometricMean([]float64{1, 2, 4}); math.Abs(got-2) > 1e-9 {
		t.Error(got)
	}
}
