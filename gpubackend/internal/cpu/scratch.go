package cpu

import "github.com/penstockhq/penstock/gpubackend/engine"

// scratch is the memory that a step works in. It grows to the largest batch seen.
type scratch struct {
	state    []float32 // [row][embedding], the residual stream
	normed   []float32 // [row][embedding]
	delta    []float32 // [row][embedding], what a part adds to the state
	queries  []float32 // [row][head][size]
	keys     []float32 // [row][key head][size]
	values   []float32 // [row][key head][size]
	attended []float32 // [row][head][size]
	gate, up []float32 // [row][hidden]
	turned   []float32 // [row][head][padded size], queries ready for attention
	angles   []float32 // [row][rotated], cosine and sine of each pair
	logits   []float32

	quantised quantised
	spans     []span
	workers   []workspace

	wanted []int // rows that logits or hidden states are asked for, ascending
	place  []int // of each row of the batch: its index in wanted
}

// workspace is the scratch memory of one thread.
type workspace struct {
	queries []float32 // [query][padded size]
	scores  []float32 // [query][position]
	outputs []float32 // [query][padded size]
	tile    [maxGroup * tileRows]float32
}

// grown returns a slice of size values, which may be the old one.
func grown[T any](old []T, size int) []T {
	if cap(old) >= size {
		return old[:size]
	}
	return make([]T, size)
}

func (s *scratch) prepare(e *Engine, batch *engine.Batch) {
	shape, rows := &e.shape, len(batch.Rows)
	for _, part := range []*[]float32{&s.state, &s.normed} {
		*part = grown(*part, rows*shape.embedding)
	}
	// delta also gathers the states whose logits are wanted, some perhaps twice.
	s.delta = grown(s.delta, max(rows, len(batch.Logits))*shape.embedding)
	for _, part := range []*[]float32{&s.queries, &s.attended} {
		*part = grown(*part, rows*shape.heads*shape.headSize)
	}
	for _, part := range []*[]float32{&s.keys, &s.values} {
		*part = grown(*part, rows*shape.keyHeads*shape.headSize)
	}
	for _, part := range []*[]float32{&s.gate, &s.up} {
		*part = grown(*part, rows*shape.hidden)
	}
	// Beyond each head the padding stays zero: nothing writes to it.
	s.turned = grown(s.turned, rows*shape.heads*paddedHead(shape.headSize))
	s.angles = grown(s.angles, rows*shape.rotated)
	if s.workers == nil {
		s.workers = make([]workspace, e.threads)
	}
}

// selectRows notes which rows are asked for.
func (s *scratch) selectRows(batch *engine.Batch) {
	s.place = grown(s.place, len(batch.Rows))
	for i := range s.place {
		s.place[i] = -1
	}
	for _, rows := range [2][]int32{batch.Logits, batch.Hidden} {
		for _, row := range rows {
			s.place[row] = 0
		}
	}
	s.wanted = s.wanted[:0]
	for row, mark := range s.place {
		if mark == 0 {
			s.place[row] = len(s.wanted)
			s.wanted = append(s.wanted, row)
		}
	}
}

// compact moves the rows that are asked for to the front and returns their number.
func (s *scratch) compact(e *Engine) int {
	width, heads := e.shape.embedding, e.shape.heads*e.shape.headSize
	for to, from := range s.wanted {
		if to == from {
			continue
		}
		copy(s.state[to*width:][:width], s.state[from*width:][:width])
		copy(s.attended[to*heads:][:heads], s.attended[from*heads:][:heads])
	}
	return len(s.wanted)
}
