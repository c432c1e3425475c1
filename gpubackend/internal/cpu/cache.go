package cpu

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

const pagePositions = engine.PageSize

// cache holds the keys and values of all sequences in pages of 16 positions. In
// a page, each layer and key head has its keys, transposed to [dimension]
// [position] so that one register holds a dimension of all positions, and its
// values, [position][dimension]. size is the head's size rounded up to 16; what
// lies beyond the head is zero and stays so.
type cache struct {
	data   []float32
	pages  int
	heads  int
	layers int
	size   int
}

// newCache reserves a cache; memory is taken as pages are first used.
func (e *Engine) newCache(pages int) (*cache, error) {
	c := &cache{pages: pages, heads: e.shape.keyHeads, layers: e.shape.layers, size: paddedHead(e.shape.headSize)}
	page := c.pageFloats() * 4
	if pages > math.MaxInt/page {
		return nil, fmt.Errorf("%d KV pages of %d bytes are too large", pages, page)
	}
	memory, err := e.allocate(pages * page)
	if err != nil {
		return nil, fmt.Errorf("%d KV pages: %w", pages, err)
	}
	c.data = unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(memory))), len(memory)/4)
	return c, nil
}

func paddedHead(size int) int { return (size + 15) / 16 * 16 }

func (c *cache) pageFloats() int { return c.layers * c.heads * 2 * c.size * pagePositions }

// keys and values return one head's part of a page.
func (c *cache) keys(page int32, layer, head int) []float32 {
	part := c.size * pagePositions
	at := ((int(page)*c.layers+layer)*c.heads + head) * 2 * part
	return c.data[at : at+part]
}

func (c *cache) values(page int32, layer, head int) []float32 {
	part := c.size * pagePositions
	at := ((int(page)*c.layers+layer)*c.heads+head)*2*part + part
	return c.data[at : at+part]
}

// store writes the key and value of one head at a slot of a page.
func (c *cache) store(page int32, slot, layer, head int, key, value []float32) {
	keys := c.keys(page, layer, head)
	for d, number := range key {
		keys[d*pagePositions+slot] = number
	}
	copy(c.values(page, layer, head)[slot*c.size:], value)
}
