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
