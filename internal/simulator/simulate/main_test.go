package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/internal/simulator"
)

func TestATraceIsComparedAsJSON(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace.jsonl")
	line := `{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}` + "\n"
	if err := os.WriteFile(trace, []byte(line+strings.Replace(line, ": 0", ": 900", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run([]string{"-json", "-seeds", "1", "-mooncake", trace, "-routers", "least_conn,prefix_work"}, &out); err != nil {
		t.Fatal(err)
	}
	var lines []simulator.Line
	if err := json.Unmarshal([]byte(out.String()), &lines); err != nil || len(lines) != 2 || lines[1].Router != "prefix_work" {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestUnknownNamesAreRefusedWithTheKnownOnes(t *testing.T) {
	for _, arguments := range [][]string{{"-workloads", "abacus"}, {"-routers", "abacus"}} {
		err := run(arguments, &strings.Builder{})
		if err == nil || !strings.Contains(err.Error(), `there is no "abacus"; known: `) {
			t.Errorf("%v: %v", arguments, err)
		}
	}
	if err := run([]string{"-azure", "/does/not/exist"}, &strings.Builder{}); err == nil {
		t.Error("a missing trace is no error")
	}
}
