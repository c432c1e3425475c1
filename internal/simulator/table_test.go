package simulator

import (
	"strings"
	"testing"
	"time"
)

func TestATableHasALineForEachRouter(t *testing.T) {
	var out strings.Builder
	lines := []Line{
		{Workload: "chat", Router: "a", Rate: 7.5, Result: Result{Calls: 10, Served: 9, TTFT95: 1234 * time.Millisecond}},
		{Workload: "chat", Router: "b", Rate: 7.5, Result: Result{TTFT95: never}, Capacity: 8.25},
	}
	if err := WriteTable(&out, lines); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1234 ms", "0.900", "never", "8.25"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}
