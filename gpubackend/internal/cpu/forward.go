package cpu

import (
	"errors"
	"fmt"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
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
		e.multiply(s.normed, rows, e.shape.embedding, e.normalise(l.attentionNorm, i > 0),
			product{l.query, s.queries}, product{l.key, s.keys}, product{l.value, s.values})
		e.attend(batch, i)
		if i == len(e.weights.layers)-1 {
			// Only rows that are asked for matter from here on.
			rows = s.compact(e)
		}
		if rows == 0 {
			return
		}
		e.multiply(s.attended, rows, e.shape.heads*e.shape.headSize, nil, product{l.output, s.delta})
		e.multiply(s.normed, rows, e.shape.embedding, e.normalise(l.hiddenNorm, true),
			product{l.gate, s.gate}, product{l.up, s.up})
		e.multiply(s.gate, rows, e.shape.hidden, e.gate, product{l.down, s.delta})
	}
	e.pool.run(rows, func(_, row int) { e.normalise(e.weights.norm, true)(row) })
	e.output(batch)
}

// normalise returns what completes rows of s.normed: it first adds what the part
// of the model before it left in s.delta, if anything, to the state.
func (e *Engine) normalise(weight []float32, delta bool) func(row int) {
	s, width := &e.scratch, e.shape.embedding
	return func(row int) {
		state := s.state[row*width:][:width]
		if delta {
			e.kernels.add(state, s.delta[row*width:][:width])
		}
		e.kernels.normalise(s.normed[row*width:][:width], state, weight, e.shape.epsilon)
	}
}

// gate completes a row of s.gate.
func (e *Engine) gate(row int) {
	s, width := &e.scratch, e.shape.hidden
	part := s.gate[row*width:][:width]
	e.kernels.gate(part, part, s.up[row*width:][:width])
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
	e.multiply(wanted, len(batch.Logits), width, nil, product{e.weights.logits, s.logits})
	for i := range batch.Logits {
		copy(batch.LogitsOut[i], s.logits[i*e.vocabulary:][:e.vocabulary])
	}
}
