package limiter

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestAnIndexThatWasLargeGrowsAgain fills a shard, forgets nearly all of it and
// fills it once more. What still stands in the large table of old must have moved
// before the small one that follows it is full: a search in a full table never ends.
func TestAnIndexThatWasLargeGrowsAgain(t *testing.T) {
	for _, test := range []struct{ peak, kept int }{{90, 3}, {700, 7}, {3000, 15}, {3000, 200}} {
		for seed := range uint64(20) {
			finished := make(chan struct{})
			go func() {
				defer close(finished)
				growAgain(t, test.peak, test.kept, seed)
			}()
			select {
			case <-finished:
			case <-time.After(10 * time.Second):
				t.Fatalf("%d of %d scopes kept, seed %d: a search does not end", test.kept, test.peak, seed)
			}
		}
	}
}

func growAgain(t *testing.T, peak, kept int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	sh := &shard{}
	var known []uint32 // slots
	add := func() {
		hash := max(random.Uint64(), firstIdentity)
		slot := sh.take()
		*sh.at(slot) = scope{hash: hash}
		sh.insert(hash, slot)
		known = append(known, slot)
	}
	forget := func() {
		at := random.IntN(len(known))
		slot := known[at]
		sh.remove(sh.at(slot).hash, slot)
		sh.drop(slot)
		known[at] = known[len(known)-1]
		known = known[:len(known)-1]
	}
	for range peak {
		add()
	}
	for len(known) > kept {
		forget()
	}
	// Scopes come and go until graves fill the table and a smaller one replaces it.
	for large := len(sh.index.table); len(sh.index.table) >= large; {
		add()
		forget()
	}
	for range peak {
		add()
	}
	for _, slot := range known {
		if sh.find(sh.at(slot).hash) != slot+1 {
			t.Errorf("%d of %d scopes kept, seed %d: one is lost", kept, peak, seed)
			return
		}
	}
}
