package ledger

import (
	"encoding/json"
	"slices"
	"testing"
)

// The log calls permissions scopes. Another name in the record would lift the
// restrictions of keys that were made before.
func TestPermissionsKeepTheNameThatTheLogHasForThem(t *testing.T) {
	var record keyRecord
	if err := json.Unmarshal([]byte(`{"name":"old","policy":{"scopes":["rag"]}}`), &record); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(record.Policy.Permissions, []string{"rag"}) {
		t.Errorf("a key that was restricted to rag may use %v", record.Policy.Permissions)
	}
}

func TestKeysOfASnapshotTakeTheRoomThatTheyNeed(t *testing.T) {
	for _, test := range []struct{ there, promised, most int }{
		{5000, 5000, 5000},
		{5000, 1 << 31, 2 * 5000}, // a damaged number
		{1, 1, 1},
	} {
		table := newKeyTable()
		for i := range test.there {
			table.reserve(test.promised - i)
			table.rows = append(table.rows, keyRow{})
		}
		if room := cap(table.rows); room > test.most {
			t.Errorf("%d keys of %d have room for %d, want at most %d", test.there, test.promised, room, test.most)
		}
	}
}
