package cpu

import (
	"math"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// span is a run of rows of one sequence whose positions lie in one page. A thread
// works on a span as a whole: the slots of a page share lines of the processor's
// cache, which two threads that write them would pull back and forth.
type span struct{ first, end int }

// queriesAtOnce is how many queries the attention kernels take.
const queriesAtOnce = 4

// attend turns and stores the new keys and values and attends with the queries.
func (e *Engine) attend(batch *engine.Batch, layer int) {
	s, heads := &e.scratch, e.shape.keyHeads
	s.spans = appendSpans(s.spans[:0], batch.Rows)
	e.pool.run(len(s.spans), func(_, task int) {
		for head := range heads {
			for row := s.spans[task].first; row < s.spans[task].end; row++ {
				e.store(batch, layer, row, head)
			}
		}
	})
	e.pool.run(len(s.spans)*heads, func(worker, task int) {
		e.attendSpan(batch, &s.workers[worker], s.spans[task/heads], layer, task%heads)
	})
}

func appendSpans(spans []span, rows []engine.Row) []span {
	for first := 0; first < len(rows); {
		end := first + 1
		for end < len(rows) && rows[end].Sequence == rows[first].Sequence &&
			rows[end].Position/pagePositions == rows[first].Position/pagePositions {
			end++
		}
		spans = append(spans, span{first, end})
		first = end
	}
	return spans
}

// store normalises (qwen3) and turns the queries and the key of a key head in a
// row, and writes key and value to the cache.
func (e *Engine) store(batch *engine.Batch, layer, row, keyHead int) {
	s, l, size, padded := &e.scratch, &e.weights.layers[layer], e.shape.headSize, e.cache.size
	angles := s.angles[row*e.shape.rotated:][:e.shape.rotated]
	scale := float32(1 / math.Sqrt(float64(size)))
	shared := e.shape.heads / e.shape.keyHeads
	for head := keyHead * shared; head < (keyHead+1)*shared; head++ {
		query := s.queries[(row*e.shape.heads+head)*size:][:size]
		if l.queryNorm != nil {
			e.kernels.normalise(query, query, l.queryNorm, e.shape.epsilon)
		}
		e.rope.turn(s.turned[(row*e.shape.heads+head)*padded:][:size], query, angles, scale)
	}
	key := s.keys[(row*e.shape.keyHeads+keyHead)*size:][:size]
	if l.keyNorm != nil {
		e.kernels.normalise(key, key, l.keyNorm, e.shape.epsilon)
	}
	e.rope.turn(key, key, angles, 1)
	at := batch.Rows[row]
	page := batch.Tables[at.Sequence][at.Position/pagePositions]
	value := s.values[(row*e.shape.keyHeads+keyHead)*size:][:size]
	e.cache.store(page, int(at.Position%pagePositions), layer, keyHead, key, value)
}

// attendSpan attends with all queries of a span that share a key head, a few at
// a time.
func (e *Engine) attendSpan(batch *engine.Batch, w *workspace, rows span, layer, keyHead int) {
	shared := e.shape.heads / e.shape.keyHeads
	count := (rows.end - rows.first) * shared
	var queries [queriesAtOnce]query
	for first := 0; first < count; first += queriesAtOnce {
		chosen := queries[:min(queriesAtOnce, count-first)]
		for i := range chosen {
			row := rows.first + (first+i)/shared
			chosen[i] = query{
				row:       row,
				head:      keyHead*shared + (first+i)%shared,
				positions: int(batch.Rows[row].Position) + 1,
			}
		}
		e.attendQueries(w, batch.Tables[batch.Rows[rows.first].Sequence], chosen, layer, keyHead)
	}
}

// query is one head of one row and how many positions it sees.
type query struct{ row, head, positions int }

func (e *Engine) attendQueries(w *workspace, table []int32, queries []query, layer, keyHead int) {
	s, size := &e.scratch, e.cache.size
	// Rows ascend, so the last query sees the most.
	longest := queries[len(queries)-1].positions
	pages := (longest + pagePositions - 1) / pagePositions
	stride := pages * pagePositions
	w.scores = grown(w.scores, queriesAtOnce*stride)
	w.outputs = grown(w.outputs, queriesAtOnce*size)
	w.queries = grown(w.queries, queriesAtOnce*size)
	for i, q := range queries {
		copy(w.queries[i*size:][:size], s.turned[(q.row*e.shape.heads+q.head)*size:][:size])
	}
	for i, page := range table[:pages] {
		e.kernels.scores(w.scores[i*pagePositions:], stride, w.queries, e.cache.keys(page, layer, keyHead), size, len(queries))
	}
	for i, q := range queries {
		e.kernels.softmax(w.scores[i*stride:][:stride], q.positions)
	}
	clear(w.outputs)
	for i, page := range table[:pages] {
		positions := min(pagePositions, longest-i*pagePositions)
		e.kernels.mix(w.outputs, w.scores[i*pagePositions:], stride, e.cache.values(page, layer, keyHead), size, positions, len(queries))
	}
	for i, q := range queries {
		copy(s.attended[(q.row*e.shape.heads+q.head)*e.shape.headSize:][:e.shape.headSize], w.outputs[i*size:])
	}
}
