package cpu

import "github.com/penstockhq/penstock/gpubackend/internal/gguf"

// product is a matrix and where its results go, [row][matrix.rows].
type product struct {
	matrix *matrix
	out    []float32
}

// chunkBytes is about how much of a matrix a thread takes at once: enough to be
// worth the counting, little enough that no thread is left with much at the end.
const chunkBytes = 64 << 10

// chunk is a run of tiles of one product.
type chunk struct {
	product     int
	first, last int
}

// quantised is a batch of activations, ready for matrices in Q8_0.
type quantised struct {
	values []int8
	scales []float32
	sums   []int32
	groups []group
	chunks []chunk
}

// multiply applies matrices to rows of x, which is [row][columns]. Before, it has
// complete finish each row, if it is not nil. All products are one parallel stage.
func (e *Engine) multiply(x []float32, rows, columns int, complete func(row int), products ...product) {
	q := &e.scratch.quantised
	q.chunks = q.chunks[:0]
	needed := false
	for i, p := range products {
		needed = needed || p.matrix.kind == gguf.Q8_0
		tiles := p.matrix.tiles()
		step := max(1, int(chunkBytes*int64(tiles)/max(1, p.matrix.bytes())))
		for first := 0; first < tiles; first += step {
			q.chunks = append(q.chunks, chunk{i, first, min(tiles, first+step)})
		}
	}
	e.prepare(x, rows, columns, complete, needed)
	e.pool.run(len(q.chunks), func(worker, task int) {
		c := q.chunks[task]
		p := products[c.product]
		if p.matrix.kind == gguf.Q8_0 {
			e.multiplyTiles(p, c, &e.scratch.workers[worker])
		} else {
			e.multiplyFloats(p, c, x, rows)
		}
		p.addBias(c, rows)
	})
}

// prepare completes the rows of x and quantises them, if that is needed: a group
// at a time, so that it is still in the cache of the thread that completed it.
func (e *Engine) prepare(x []float32, rows, columns int, complete func(row int), quantise bool) {
	if complete == nil && !quantise {
		return
	}
	q := &e.scratch.quantised
	q.group(rows, columns, e.kernels.groups)
	e.pool.run(len(q.groups), func(_, task int) {
		g := &q.groups[task]
		for t := range g.tokens {
			if complete != nil {
				complete(g.first + t)
			}
			if quantise {
				e.kernels.quantise(g.values[t*blockSize:], g.scales[t:], g.sums[t:], g.tokens, x[(g.first+t)*columns:][:columns])
			}
		}
	})
}

// group divides a batch into groups of the given sizes, which descend to 1.
func (q *quantised) group(rows, columns int, sizes []int) {
	blocks := columns / blockSize
	q.values = grown(q.values, rows*columns)
	q.scales = grown(q.scales, rows*blocks)
	q.sums = grown(q.sums, rows*blocks)
	q.groups = q.groups[:0]
	for first := 0; first < rows; {
		tokens := 1
		for _, size := range sizes {
			if size <= rows-first {
				tokens = size
				break
			}
		}
		end := first + tokens
		q.groups = append(q.groups, group{
			first: first, tokens: tokens, blocks: blocks,
			values: q.values[first*columns : end*columns],
			scales: q.scales[first*blocks : end*blocks],
			sums:   q.sums[first*blocks : end*blocks],
		})
		first = end
	}
}

// multiplyTiles runs a chunk of a quantised matrix over all groups. A tile stays
// in the first-level cache while all tokens pass over it.
func (e *Engine) multiplyTiles(p product, c chunk, w *workspace) {
	m, blocks := p.matrix, p.matrix.blocks()
	for tile := c.first; tile < c.last; tile++ {
		values := m.values[tile*blocks*tileBlock:][:blocks*tileBlock]
		scales := m.scales[tile*blocks*tileRows:][:blocks*tileRows]
		row := tile * tileRows
		for _, g := range e.scratch.quantised.groups {
			if row+tileRows <= m.rows {
				e.kernels.tile(p.out[g.first*m.rows+row:], m.rows, values, scales, g)
				continue
			}
			// The padding of the last tile must not run over the next token's results.
			e.kernels.tile(w.tile[:], tileRows, values, scales, g)
			for t := range g.tokens {
				copy(p.out[(g.first+t)*m.rows+row:(g.first+t+1)*m.rows], w.tile[t*tileRows:(t+1)*tileRows])
			}
		}
	}
}

// multiplyFloats runs a chunk of a float matrix over all rows, four at a time.
func (e *Engine) multiplyFloats(p product, c chunk, x []float32, rows int) {
	m := p.matrix
	size := len(m.data) / m.rows
	for r := c.first * tileRows; r < min(m.rows, c.last*tileRows); r++ {
		data := m.data[r*size:][:size]
		for first := 0; first < rows; first += 4 {
			tokens := min(4, rows-first)
			e.kernels.dot(p.out[first*m.rows+r:], m.rows, m.kind, data, x[first*m.columns:(first+tokens)*m.columns], tokens)
		}
	}
}

func (p product) addBias(c chunk, rows int) {
	if p.matrix.bias == nil {
		return
	}
	first, end := c.first*tileRows, min(p.matrix.rows, c.last*tileRows)
	for row := range rows {
		out := p.out[row*p.matrix.rows+first : row*p.matrix.rows+end]
		for i, number := range p.matrix.bias[first:end] {
			out[i] += number
		}
	}
}
