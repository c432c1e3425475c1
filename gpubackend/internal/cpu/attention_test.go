package cpu

import (
	"slices"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

func TestSpansEndWithPagesAndSequences(t *testing.T) {
	rows := func(sequence int32, positions ...int32) []engine.Row {
		var rows []engine.Row
		for _, position := range positions {
			rows = append(rows, engine.Row{Sequence: sequence, Position: position})
		}
		return rows
	}
	for _, test := range []struct {
		name string
		rows []engine.Row
		want []span
	}{
		{"one row", rows(0, 40), []span{{0, 1}}},
		{"within a page", rows(0, 1, 2, 15), []span{{0, 3}}},
		{"over the end of a page", rows(0, 14, 15, 16, 17, 18), []span{{0, 2}, {2, 5}}},
		{"sequences at the same position", slices.Concat(rows(0, 7), rows(1, 7), rows(2, 7)), []span{{0, 1}, {1, 2}, {2, 3}}},
		{"a prompt between others", slices.Concat(rows(0, 7), rows(1, 0, 1, 2), rows(2, 7)), []span{{0, 1}, {1, 4}, {4, 5}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := appendSpans(nil, test.rows); !slices.Equal(got, test.want) {
				t.Errorf("spans %v, want %v", got, test.want)
			}
		})
	}
}
