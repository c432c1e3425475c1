package simulator

import (
	"encoding/json"
	"testing"
)

func TestPromptsShareTheBlocksOfTheirBeginning(t *testing.T) {
	system, user := Segment{1, 1000, "system"}, Segment{2, 300, "user"}
	short, long := blocksOf([]Segment{system}), blocksOf([]Segment{system, user})
	other := blocksOf([]Segment{system, {3, 300, "user"}})
	if len(short) != 1000/blockTokens || len(long) != 1300/blockTokens {
		t.Fatalf("%d and %d blocks", len(short), len(long))
	}
	for i := range short {
		if short[i] != long[i] || short[i] != other[i] {
			t.Fatalf("block %d differs", i)
		}
	}
	if long[len(short)] == other[len(short)] {
		t.Error("different messages have the same block")
	}
}

func TestABodyIsWhatAClientSends(t *testing.T) {
	q := &Request{Prompt: []Segment{{1, 500, "system"}, {2, 10, "user"}}}
	var messages []struct{ Role, Content string }
	if err := json.Unmarshal(q.body(nil), &messages); err != nil || len(messages) != 2 || messages[0].Role != "system" {
		t.Fatalf("%v %+v", err, messages)
	}
	if size := len(messages[0].Content); size < 1000 || size > 4000 {
		t.Errorf("500 tokens are %d bytes", size)
	}
}
