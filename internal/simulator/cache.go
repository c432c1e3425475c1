package simulator

// cache is an engine's memory of prompts: blocks that calls use, and unused ones that stay
// until their room is needed, the least recently used first and the end of a prompt before
// its beginning.
type cache struct {
	capacity int // blocks
	blocks   map[uint64]*block
	private  int   // blocks in use that nobody can share yet
	unused   block // the ring of unused blocks; its next is the oldest
	free     int   // unused blocks
}

type block struct {
	hash       uint64
	users      int
	prev, next *block
}

func newCache(tokens int) *cache {
	c := &cache{capacity: tokens / blockTokens, blocks: map[uint64]*block{}}
	c.unused.prev, c.unused.next = &c.unused, &c.unused
	return c
}

// has returns how many of the blocks, from the first, are there.
func (c *cache) has(hashes []uint64) int {
	for i, hash := range hashes {
		if c.blocks[hash] == nil {
			return i
		}
	}
	return len(hashes)
}

// room returns how many blocks could be taken.
func (c *cache) room() int { return c.capacity - c.private - (len(c.blocks) - c.free) }

func (b *block) unlink() {
	b.prev.next, b.next.prev = b.next, b.prev
	b.prev, b.next = nil, nil
}

// use takes the blocks that are there into use.
func (c *cache) use(hashes []uint64) {
	for _, hash := range hashes {
		b := c.blocks[hash]
		if b.users == 0 {
			b.unlink()
			c.free--
		}
		b.users++
	}
}

// take takes blocks for what nobody can share yet. There must be room.
func (c *cache) take(n int) {
	c.private += n
	for c.private+len(c.blocks) > c.capacity && c.free > 0 {
		oldest := c.unused.next
		oldest.unlink()
		delete(c.blocks, oldest.hash)
		c.free--
	}
}

// publish lets others share blocks that were taken. A copy of what is there is given back.
func (c *cache) publish(hashes []uint64) {
	for _, hash := range hashes {
		c.private--
		if b := c.blocks[hash]; b != nil {
			if b.users == 0 {
				b.unlink()
				c.free--
			}
			b.users++
			continue
		}
		c.blocks[hash] = &block{hash: hash, users: 1}
	}
}

// release ends the use of blocks. They stay until their room is needed.
func (c *cache) release(hashes []uint64) {
	for i := len(hashes) - 1; i >= 0; i-- {
		b := c.blocks[hashes[i]]
		if b.users--; b.users == 0 {
			b.prev, b.next = c.unused.prev, &c.unused
			b.prev.next, b.next.prev = b, b
			c.free++
		}
	}
}
