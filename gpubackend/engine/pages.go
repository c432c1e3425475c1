package engine

import "container/list"

// pagePool hands out the pages of a Runner's KV cache and remembers what full
// pages hold, so that a later prompt with the same beginning need not compute
// it again. It belongs to the scheduler's goroutine.
//
// A page is free, in use (counted by the sequences that read it) or idle: full,
// used by nobody, kept for its contents until the space is needed.
type pagePool struct {
	pages    []page
	free     []int32
	known    map[block]int32 // full pages by what they hold
	idle     *list.List      // page ids; the first is evicted first
	promised int             // pages that admitted sequences may still take
	serial   uint64
}

type page struct {
	users  int
	block  block         // zero if the contents are not known
	serial uint64        // names the contents as a parent; 0 if not known
	idle   *list.Element // nil unless idle
}

// block identifies the contents of a full page exactly: its tokens, and the page
// before it by a serial number that is never used twice. It is the map's key as
// it stands, so equal hashes of different texts cannot be confused.
type block struct {
	salt   string
	parent uint64 // serial of the page before; 0 for the first page
	tokens [PageSize]int32
}

func newPagePool(pages int) *pagePool {
	pool := &pagePool{pages: make([]page, pages), known: map[block]int32{}, idle: list.New()}
	for id := pages - 1; id >= 0; id-- {
		pool.free = append(pool.free, int32(id))
	}
	return pool
}

// lease is what one sequence holds of a pool.
type lease struct {
	salt     string
	pages    []int32
	known    int    // leading pages whose contents are known to the pool
	parent   uint64 // serial of the last known page
	detached bool   // the chain broke: equal pages were published by another sequence
	promised int    // pages that it may still take
}

// admit gives a sequence the cached pages that its prompt begins with and
// promises it the rest of positions. It reports false, and changes nothing, if
// the pool cannot keep that promise now.
func (pool *pagePool) admit(salt string, prompt []int32, positions int, reuse bool) (lease, bool) {
	held := lease{salt: salt}
	idle := 0
	// The last token is always computed: its logits are needed.
	for reuse && (len(held.pages)+1)*PageSize < len(prompt) {
		key := block{salt: salt, parent: held.parent}
		copy(key.tokens[:], prompt[len(held.pages)*PageSize:])
		id, ok := pool.known[key]
		if !ok {
			break
		}
		if pool.pages[id].users == 0 {
			idle++
		}
		held.pages = append(held.pages, id)
		held.parent = pool.pages[id].serial
	}
	held.known = len(held.pages)
	held.promised = (positions+PageSize-1)/PageSize - len(held.pages)
	if len(pool.free)+pool.idle.Len()-idle-pool.promised < held.promised {
		return lease{}, false
	}
	for _, id := range held.pages {
		pool.use(id)
	}
	pool.promised += held.promised
	return held, true
}

func (pool *pagePool) use(id int32) {
	page := &pool.pages[id]
	if page.idle != nil {
		pool.idle.Remove(page.idle)
		page.idle = nil
	}
	page.users++
}

// grow extends the lease to positions. The promise made at admission guarantees
// that there is a page.
func (pool *pagePool) grow(held *lease, positions int) {
	for len(held.pages)*PageSize < positions {
		id := pool.take()
		pool.use(id)
		held.pages = append(held.pages, id)
		held.promised--
		pool.promised--
	}
}

func (pool *pagePool) take() int32 {
	if last := len(pool.free) - 1; last >= 0 {
		id := pool.free[last]
		pool.free = pool.free[:last]
		return id
	}
	id := pool.idle.Front().Value.(int32)
	pool.forget(id)
	return id
}

// forget drops what is known of an idle page.
func (pool *pagePool) forget(id int32) {
	page := &pool.pages[id]
	pool.idle.Remove(page.idle)
	delete(pool.known, page.block)
	*page = pageWithoutContents
}

var pageWithoutContents page

// publish makes the full pages among the first computed tokens known to later
// sequences.
func (pool *pagePool) publish(held *lease, tokens []int32, computed int) {
	for !held.detached && (held.known+1)*PageSize <= computed {
		key := block{salt: held.salt, parent: held.parent}
		copy(key.tokens[:], tokens[held.known*PageSize:])
		if _, taken := pool.known[key]; taken {
			held.detached = true
			return
		}
		id := held.pages[held.known]
		pool.serial++
		pool.known[key] = id
		pool.pages[id].block, pool.pages[id].serial = key, pool.serial
		held.parent = pool.serial
		held.known++
	}
}

// release takes back everything that the lease holds. Known pages become idle,
// the last of a chain first in line for eviction: a page whose parent is gone
// cannot be found again.
func (pool *pagePool) release(held *lease) {
	for i := len(held.pages) - 1; i >= 0; i-- {
		id := held.pages[i]
		page := &pool.pages[id]
		page.users--
		switch {
		case page.users > 0:
		case page.serial != 0:
			page.idle = pool.idle.PushBack(id)
		default:
			pool.free = append(pool.free, id)
		}
	}
	pool.promised -= held.promised
	*held = lease{}
}

// forgetAll drops the whole prefix cache: after a failed step nothing that pages
// hold can be relied on.
func (pool *pagePool) forgetAll() {
	for pool.idle.Len() > 0 {
		id := pool.idle.Front().Value.(int32)
		pool.forget(id)
		pool.free = append(pool.free, id)
	}
	clear(pool.known)
	for id := range pool.pages {
		pool.pages[id].block, pool.pages[id].serial = block{}, 0
	}
}

// inUse counts the pages that running sequences hold.
func (pool *pagePool) inUse() int { return len(pool.pages) - len(pool.free) - pool.idle.Len() }
