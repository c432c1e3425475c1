package limiter

// blocks hands out the rings of a shard: blocks of 4, 8, 16 ... words. Those of
// up to a page come out of pages that hold one size each; an empty page is given
// back, so that memory follows the use. Larger ones are allocated alone.
type blocks struct {
	pages   []*[pageWords]uint64 // by page number; nil: given back
	infos   []pageInfo
	vacant  []uint32                  // numbers without a page
	partial [maxSmallClass + 1]uint32 // first page with a free block per class, plus one
	spare   []*[pageWords]uint64      // a few empty pages, kept to save allocations
	large   [][]uint64
	unused  []uint32 // places in large
}

// pageInfo is what is known of a page. Pages with free blocks form a list per
// class, linked by number plus one.
type pageInfo struct {
	next, prev uint32
	used       uint16 // blocks handed out
	free       uint16 // first free block plus one; its first word links to the next
	class      uint8
}

const (
	pageWords     = 512 // 4 KiB
	maxSmallClass = 8   // 512 words
	maxClass      = 15  // 65536 words
	maxSpare      = 4
)

// ref refers to a block: its class (4 bits), its page (21) and its place in the page
// (7), or for a large block its class and its place among the large ones (28). It is
// never 0, as classes begin at 1.
type ref uint32

const (
	placeBits = 7
	pageBits  = 21
	largeBits = placeBits + pageBits
)

func smallRef(class, page, place uint32) ref { return ref(class<<largeBits | page<<placeBits | place) }
func largeRef(class, place uint32) ref       { return ref(class<<largeBits | place) }

func (r ref) class() uint32      { return uint32(r >> largeBits) }
func (r ref) page() uint32       { return uint32(r >> placeBits & (1<<pageBits - 1)) }
func (r ref) place() uint32      { return uint32(r & (1<<placeBits - 1)) }
func (r ref) largePlace() uint32 { return uint32(r & (1<<largeBits - 1)) }

// classWords returns the size of the blocks of a class.
func classWords(class uint32) int { return 2 << class }

func (b *blocks) allocate(class uint32) ref {
	if class > maxSmallClass {
		return b.allocateLarge(class)
	}
	if b.partial[class] == 0 {
		b.addPage(class)
	}
	number := b.partial[class] - 1
	info := &b.infos[number]
	place := info.free - 1
	info.free = uint16(b.pages[number][int(place)*classWords(class)])
	info.used++
	if info.free == 0 {
		b.unlink(number)
	}
	return smallRef(class, number, uint32(place))
}

func (b *blocks) allocateLarge(class uint32) ref {
	words := make([]uint64, classWords(class))
	if n := len(b.unused); n > 0 {
		place := b.unused[n-1]
		b.unused = b.unused[:n-1]
		b.large[place] = words
		return largeRef(class, place)
	}
	b.large = append(b.large, words)
	return largeRef(class, uint32(len(b.large)-1))
}

// words returns the memory of a block.
func (b *blocks) words(r ref) []uint64 {
	class := r.class()
	if class > maxSmallClass {
		return b.large[r.largePlace()]
	}
	size := classWords(class)
	start := int(r.place()) * size
	return b.pages[r.page()][start : start+size]
}

func (b *blocks) release(r ref) {
	class := r.class()
	if class > maxSmallClass {
		place := r.largePlace()
		b.large[place] = nil
		b.unused = append(b.unused, place)
		return
	}
	number, place := r.page(), r.place()
	info := &b.infos[number]
	if info.free == 0 {
		b.link(number)
	}
	b.pages[number][int(place)*classWords(class)] = uint64(info.free)
	info.free = uint16(place + 1)
	info.used--
	if info.used == 0 {
		b.dropPage(number)
	}
}

func (b *blocks) addPage(class uint32) {
	var page *[pageWords]uint64
	if n := len(b.spare); n > 0 {
		page = b.spare[n-1]
		b.spare = b.spare[:n-1]
	} else {
		page = new([pageWords]uint64)
	}
	var number uint32
	if n := len(b.vacant); n > 0 {
		number = b.vacant[n-1]
		b.vacant = b.vacant[:n-1]
		b.pages[number] = page
	} else {
		number = uint32(len(b.pages))
		b.pages = append(b.pages, page)
		b.infos = append(b.infos, pageInfo{})
	}
	size := classWords(class)
	n := pageWords / size
	for i := range n {
		page[i*size] = uint64(i+2) % uint64(n+1) // the last links to none
	}
	b.infos[number] = pageInfo{free: 1, class: uint8(class)}
	b.link(number)
}

func (b *blocks) dropPage(number uint32) {
	b.unlink(number)
	if len(b.spare) < maxSpare {
		b.spare = append(b.spare, b.pages[number])
	}
	b.pages[number] = nil
	b.vacant = append(b.vacant, number)
}

// link puts a page at the front of the list of its class.
func (b *blocks) link(number uint32) {
	info := &b.infos[number]
	first := &b.partial[info.class]
	info.prev, info.next = 0, *first
	if *first != 0 {
		b.infos[*first-1].prev = number + 1
	}
	*first = number + 1
}

func (b *blocks) unlink(number uint32) {
	info := &b.infos[number]
	if info.prev != 0 {
		b.infos[info.prev-1].next = info.next
	} else {
		b.partial[info.class] = info.next
	}
	if info.next != 0 {
		b.infos[info.next-1].prev = info.prev
	}
	info.next, info.prev = 0, 0
}
