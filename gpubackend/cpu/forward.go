package cpu

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/gguf"
)

// Forward runs one step.
func (e *Engine) Forward(batch *engine.Batch) (engine.Timing, error) {
	start := time.Now()
	if e.closed.Load() {
		return engine.Timing{}, errors.New("cpu: the engine is closed")
	}
	if err := e.check(batch); err != nil {
		return engine.Timing{}, fmt.Errorf("cpu: %w", err)
	}
	e.step(batch)
	return engine.Timing{Busy: time.Since(start)}, nil
}

// step runs the model over the rows of a batch.
func (e *Engine) step(batch *engine.Batch) {
	s := &e.scratch
	rows := len(batch.Rows)
	s.prepare(e, batch)
	s.selectRows(batch)
	e.pool.run(rows, func(_, row int) {
		e.embed(s.state[row*e.shape.embedding:][:e.shape.embedding], batch.Rows[row].Token)
		e.rope.angles(s.angles[row*e.shape.rotated:][:e.shape.rotated], batch.Rows[row].Position)
	})
	for i := range e.weights.layers {
		l := &e.weights.layers[i]
		e.normalise(s.normed, s.state, l.attentionNorm, rows)
		e.multiply(s.normed, rows, e.shape.embedding,
			product{l.query, s.queries}, product{l.key, s.keys}, product{l.value, s.values})
		e.attend(batch, i)
		if i == len(e.weights.layers)-1 {
			// Only rows that are asked for matter from here on.
			rows = s.compact(e)
		}
		if rows == 0 {
			return
		}
		e.multiply(s.attended, rows, e.shape.heads*e.shape.headSize, product{l.output, s.delta})
		e.add(s.state, s.delta, rows)
		e.normalise(s.normed, s.state, l.hiddenNorm, rows)
		e.multiply(s.normed, rows, e.shape.embedding, product{l.gate, s.gate}, product{l.up, s.up})
		e.gate(rows)
		e.multiply(s.gate, rows, e.shape.hidden, product{l.down, s.delta})
		e.add(s.state, s.delta, rows)
	}
	e.normalise(s.normed, s.state, e.weights.norm, rows)
	e.output(batch)
}

// embed writes the embedding of a token.
func (e *Engine) embed(out []float32, token int32) {
	tensor := e.weights.embedding
	size := len(tensor.Data) / tensor.Shape[1]
	gguf.Dequantize(tensor.Type, tensor.Data[int(token)*size:][:size], out) // checked while loading
}

// output copies hidden states and works out logits of the rows that want them.
func (e *Engine) output(batch *engine.Batch) {
	s, width := &e.scratch, e.shape.embedding
	for i, row := range batch.Hidden {
		copy(batch.HiddenOut[i], s.normed[s.place[row]*width:][:width])
	}
	if len(batch.Logits) == 0 {
		return
	}
	wanted := s.delta[:len(batch.Logits)*width]
	for i, row := range batch.Logits {
		copy(wanted[i*width:][:width], s.normed[s.place[row]*width:][:width])
	}
	s.logits = grown(s.logits, len(batch.Logits)*e.vocabulary)
	e.multiply(wanted, len(batch.Logits), width, product{e.weights.logits, s.logits})
	for i := range batch.Logits {
		copy(batch.LogitsOut[i], s.logits[i*e.vocabulary:][:e.vocabulary])
	}
}

// rowsPerTask is how many rows an element-wise stage gives to a thread at once.
const rowsPerTask = 8

// overRows runs an element-wise stage in parallel if there is enough to do.
func (e *Engine) overRows(rows int, work func(first, end int)) {
	tasks := (rows + rowsPerTask - 1) / rowsPerTask
	e.pool.run(tasks, func(_, task int) {
		work(task*rowsPerTask, min(rows, (task+1)*rowsPerTask))
	})
}

func (e *Engine) normalise(out, x, weight []float32, rows int) {
	width := len(weight)
	e.overRows(rows, func(first, end int) {
		for row := first; row < end; row++ {
			e.kernels.normalise(out[row*width:][:width], x[row*width:][:width], weight, e.shape.epsilon)
		}
	})
}

func (e *Engine) add(out, x []float32, rows int) {
	width := e.shape.embedding
	e.overRows(rows, func(first, end int) {
		e.kernels.add(out[first*width:end*width], x[first*width:end*width])
	})
}

func (e *Engine) gate(rows int) {
	s, width := &e.scratch, e.shape.hidden
	e.overRows(rows, func(first, end int) {
		// Row by row: kernels treat the end of what they get differently, and where a
		// row ends must not depend on its neighbours.
		for row := first; row < end; row++ {
			part := s.gate[row*width:][:width]
			e.kernels.gate(part, part, s.up[row*width:][:width])
		}
	})
}
