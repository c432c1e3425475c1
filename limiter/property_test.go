package limiter_test

import (
	"bytes"
	"cmp"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limiter/internal/suite"
)

// TestMain sets how many traces the property test tries: enough for every change,
// or as many as PENSTOCK_LIMITER_CHECKS says, to dig deeper.
func TestMain(m *testing.M) {
	suite.Checks(cmp.Or(os.Getenv("PENSTOCK_LIMITER_CHECKS"), "300"))
	os.Exit(m.Run())
}

// The keys of a trace share a shard, so that they meet in its tables, and the snapshot
// of a stop is all that a restart knows.
func TestLimiterAgreesWithTheOracle(t *testing.T) {
	subject := suite.Subject{
		New: func(_ *rapid.T, settings *suite.Settings) (suite.Limiter, []string) {
			m := limiter.New(settings.Options()...)
			return m, m.NeighborsForTest(12)
		},
		Restart: func(t *rapid.T, settings *suite.Settings, before suite.Limiter) suite.Limiter {
			var snapshot bytes.Buffer
			if err := before.(*limiter.Memory).Export(&snapshot); err != nil {
				t.Fatal(err)
			}
			after := limiter.New(settings.Options()...)
			if err := after.Import(&snapshot); err != nil {
				t.Fatal(err)
			}
			return after
		},
	}
	subject.Run(t)
}
