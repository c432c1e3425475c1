package simulator

import "testing"

func TestACacheForgetsTheEndOfTheOldestPromptFirst(t *testing.T) {
	c := newCache(6 * blockTokens)
	serve := func(hashes ...uint64) {
		n := c.has(hashes)
		c.use(hashes[:n])
		c.take(len(hashes) - n)
		c.publish(hashes[n:])
		c.release(hashes)
	}
	serve(1, 2, 3)
	serve(4, 5, 6)
	if c.has([]uint64{1, 2, 3}) != 3 || c.has([]uint64{4, 5, 6}) != 3 {
		t.Error("what fits is not there")
	}
	serve(7)
	if c.has([]uint64{1, 2, 3}) != 2 || c.has([]uint64{4, 5, 6}) != 3 {
		t.Error("another block than the end of the oldest prompt made room")
	}
	serve(1, 2, 8) // used again: 1 and 2 are the latest now
	if c.has([]uint64{4, 5, 6}) != 2 || c.has([]uint64{1, 2, 8}) != 3 {
		t.Errorf("%d of the older prompt, %d of the newer one", c.has([]uint64{4, 5, 6}), c.has([]uint64{1, 2, 8}))
	}
	c.use([]uint64{1, 2, 8})
	if c.room() != 3 {
		t.Errorf("room for %d blocks beside 3 in use", c.room())
	}
	c.take(3)
	if c.has([]uint64{1, 2, 8}) != 3 || c.room() != 0 {
		t.Error("a block in use made room")
	}
}
