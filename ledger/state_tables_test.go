package ledger

import "testing"

func TestAKeyThatChangesItsModelKeepsOneRowForEach(t *testing.T) {
	table, key := usageTable{}, keyRow{}
	for _, model := range []uint32{1, 1, 2, 2, 1, 3, 1, 1, 2} {
		table.row(&key, 0, model, 0).requests++
	}
	got := map[uint32]int64{}
	steps := 0
	for number := key.usage; number != noUsage; number = table.rows[number-1].next {
		got[table.rows[number-1].model] += table.rows[number-1].requests
		if steps++; steps > len(table.rows) {
			t.Fatal("the chain of rows runs in a circle")
		}
	}
	if len(table.rows) != 3 || got[1] != 5 || got[2] != 3 || got[3] != 1 {
		t.Errorf("%d rows with %v requests", len(table.rows), got)
	}
}
