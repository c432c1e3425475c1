package prefix

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func find(x *Index, hash uint64) []Holder {
	var found Holders
	if !x.Find(hash, &found) {
		return nil
	}
	var list []Holder
	found.All(func(h Holder) bool {
		list = append(list, h)
		return true
	})
	return list
}

func TestTheIndexTakesTwoMebibytes(t *testing.T) {
	if size := NewIndex(DefaultEntries).Bytes(); size > 2<<20 || size < 2<<20-16<<10 {
		t.Errorf("%d bytes", size)
	}
}

func TestTheLatestHoldersOfAHashAreKept(t *testing.T) {
	x := NewIndex(64)
	if find(x, 1) != nil {
		t.Error("an empty index knows something")
	}
	for id := range uint16(12) {
		x.Add(x.Tick(), 1, Holder{id + 1, uint32(id)})
	}
	x.Add(x.Tick(), 1, Holder{6, 99})
	got := find(x, 1)
	if len(got) != holders || got[0] != (Holder{6, 99}) || got[1].ID != 12 || got[7].ID != 5 {
		t.Errorf("%v", got)
	}
	x.Remove(1, 12)
	x.Remove(1, 77)
	if got := find(x, 1); len(got) != holders-1 || got[1].ID != 11 {
		t.Errorf("after a removal: %v", got)
	}
	for id := range uint16(16) {
		x.Remove(1, id)
	}
	if find(x, 1) != nil {
		t.Error("a hash without holders is known")
	}
}

func TestTheHashThatWasWrittenLongestAgoMakesRoom(t *testing.T) {
	x := NewIndex(ways) // one set
	for hash := range uint64(ways) {
		x.Add(x.Tick(), hash, Holder{1, 0})
	}
	x.Add(x.Tick(), 0, Holder{2, 0})
	x.Add(x.Tick(), 99, Holder{1, 0})
	if find(x, 1) != nil || find(x, 0) == nil || find(x, 2) == nil || find(x, 99) == nil {
		t.Error("another one made room")
	}
}

func TestTheIndexIsSafeForConcurrentUse(t *testing.T) {
	x := NewIndex(1024)
	var group sync.WaitGroup
	for worker := range uint16(8) {
		group.Go(func() {
			for range 5000 {
				hash := rand.Uint64N(2000) << 32
				x.Add(x.Tick(), hash, Holder{worker + 1, 1})
				var found Holders
				x.Find(hash, &found)
				found.All(func(h Holder) bool {
					if h.ID > 8 {
						t.Errorf("holder %d", h.ID)
					}
					return true
				})
				x.Remove(hash, worker+1)
			}
		})
	}
	group.Wait()
}
