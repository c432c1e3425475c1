package needs

import "testing"

// recorder stands in for a test whose end is to be observed.
type recorder struct {
	testing.TB
	failed, skipped bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Fatalf(string, ...any) { r.failed = true; panic(r) }
func (r *recorder) Skipf(string, ...any)  { r.skipped = true; panic(r) }

func TestMissingProgramSkipsUnlessRequired(t *testing.T) {
	for _, test := range []struct {
		name, required string
		fails          bool
	}{
		{"nothing required", "", false},
		{"another program required", "redis,node", false},
		{"this program required", "redis,no-such-program", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("PENSTOCK_REQUIRE", test.required)
			r := &recorder{TB: t}
			func() {
				defer func() { recover() }()
				Program(r, "no-such-program")
			}()
			if r.failed != test.fails || r.skipped == test.fails {
				t.Fatalf("failed %v, skipped %v; want failed %v", r.failed, r.skipped, test.fails)
			}
		})
	}
}
