package cpu

import (
	"errors"
	"fmt"
	"slices"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// layer is the weights of one transformer block.
type layer struct {
	attentionNorm, hiddenNorm []float32
	queryNorm, keyNorm        []float32 // qwen3 only: per head
	query, key, value, output *matrix
	gate, up, down            *matrix
}

// weights is the whole model.
type weights struct {
	embedding *gguf.Tensor
	layers    []layer
	norm      []float32
	logits    *matrix
}

// tensor returns a tensor and checks its shape.
func (e *Engine) tensor(name string, want ...int) (*gguf.Tensor, error) {
	tensor, err := e.file.Tensor(name)
	if err != nil {
		return nil, err
	}
	got := tensor.Shape
	for len(got) > len(want) && got[len(got)-1] == 1 {
		got = got[:len(got)-1]
	}
	if !slices.Equal(got, want) {
		return nil, fmt.Errorf("tensor %q: shape %v, want %v", name, tensor.Shape, want)
	}
	return tensor, nil
}

// vector loads a tensor as floats.
func (e *Engine) vector(name string, size int) ([]float32, error) {
	tensor, err := e.tensor(name, size)
	if err != nil {
		return nil, err
	}
	numbers := make([]float32, size)
	if err := gguf.Dequantize(tensor.Type, tensor.Data, numbers); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	return numbers, nil
}

// optionalVector is vector, or nil if the file has no such tensor.
func (e *Engine) optionalVector(name string, size int) ([]float32, error) {
	numbers, err := e.vector(name, size)
	if errors.Is(err, gguf.ErrMissing) {
		return nil, nil
	}
	return numbers, err
}

func (e *Engine) loadWeights() error {
	embedding, err := e.file.Tensor("token_embd.weight")
	if err != nil {
		return err
	}
	if len(embedding.Shape) != 2 || embedding.Shape[0] != e.shape.embedding {
		return fmt.Errorf("tensor %q: shape %v, want [%d, vocabulary]", embedding.Name, embedding.Shape, e.shape.embedding)
	}
	row := make([]float32, e.shape.embedding)
	if err := gguf.Dequantize(embedding.Type, embedding.Data[:len(embedding.Data)/embedding.Shape[1]], row); err != nil {
		return fmt.Errorf("tensor %q: %w", embedding.Name, err)
	}
	e.weights.embedding = embedding
	e.vocabulary = embedding.Shape[1]
	// More rows than tokens are padding, but every token needs a row.
	if tokens, err := e.file.Length("tokenizer.ggml.tokens"); err == nil && tokens > e.vocabulary {
		return fmt.Errorf("tensor %q: %d rows for %d tokens", embedding.Name, e.vocabulary, tokens)
	}
	for i := range e.shape.layers {
		layer, err := e.loadLayer(i)
		if err != nil {
			return err
		}
		e.weights.layers = append(e.weights.layers, layer)
	}
	if e.weights.norm, err = e.vector("output_norm.weight", e.shape.embedding); err != nil {
		return err
	}
	// A file without an output matrix uses the embedding for both.
	name := "output.weight"
	if _, err := e.file.Tensor(name); err != nil {
		name = embedding.Name
	}
	e.weights.logits, err = e.loadMatrix(name, e.shape.embedding, e.vocabulary)
	return err
}

func (e *Engine) loadLayer(index int) (layer, error) {
	var l layer
	s := &e.shape
	queries, keys := s.heads*s.headSize, s.keyHeads*s.headSize
	prefix := fmt.Sprintf("blk.%d.", index)
	for _, m := range []struct {
		target        **matrix
		name          string
		columns, rows int
	}{
		{&l.query, "attn_q", s.embedding, queries},
		{&l.key, "attn_k", s.embedding, keys},
		{&l.value, "attn_v", s.embedding, keys},
		{&l.output, "attn_output", queries, s.embedding},
		{&l.gate, "ffn_gate", s.embedding, s.hidden},
		{&l.up, "ffn_up", s.embedding, s.hidden},
		{&l.down, "ffn_down", s.hidden, s.embedding},
	} {
		loaded, err := e.loadMatrix(prefix+m.name+".weight", m.columns, m.rows)
		if err != nil {
			return l, err
		}
		if loaded.bias, err = e.optionalVector(prefix+m.name+".bias", m.rows); err != nil {
			return l, err
		}
		*m.target = loaded
	}
	var err error
	if l.attentionNorm, err = e.vector(prefix+"attn_norm.weight", s.embedding); err != nil {
		return l, err
	}
	if l.hiddenNorm, err = e.vector(prefix+"ffn_norm.weight", s.embedding); err != nil {
		return l, err
	}
	if s.architecture == "qwen3" {
		if l.queryNorm, err = e.vector(prefix+"attn_q_norm.weight", s.headSize); err != nil {
			return l, err
		}
		l.keyNorm, err = e.vector(prefix+"attn_k_norm.weight", s.headSize)
	}
	return l, err
}
