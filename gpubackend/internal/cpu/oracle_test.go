package cpu

import (
	"fmt"
	"math"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// oracle is the forward pass written down as plainly as possible, in float64,
// without a cache, batches or tiles. It shares no code with the engine but the
// decoding of tensors, which has tests of its own.
type oracle struct {
	t            *testing.T
	file         *gguf.File
	architecture string
	decoded      map[string]table
}

type table [][]float64

func (o *oracle) whole(key string) int {
	number, err := o.file.Int(o.architecture + "." + key)
	if err != nil {
		o.t.Fatal(err)
	}
	return int(number)
}

// tensor returns a matrix by rows, or a vector as one row; nil if there is none.
func (o *oracle) tensor(format string, arguments ...any) table {
	name := fmt.Sprintf(format, arguments...)
	if rows, ok := o.decoded[name]; ok {
		return rows
	}
	tensor, err := o.file.Tensor(name)
	if err != nil {
		return nil
	}
	numbers := make([]float32, tensor.Elements())
	if err := gguf.Dequantize(tensor.Type, tensor.Data, numbers); err != nil {
		o.t.Fatal(err)
	}
	var rows table
	for width := tensor.Shape[0]; len(numbers) > 0; numbers = numbers[width:] {
		row := make([]float64, width)
		for i := range row {
			row[i] = float64(numbers[i])
		}
		rows = append(rows, row)
	}
	o.decoded[name] = rows
	return rows
}

func (m table) times(x []float64) []float64 {
	out := make([]float64, len(m))
	for i, row := range m {
		for j, number := range row {
			out[i] += number * x[j]
		}
	}
	return out
}

func plus(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] + b[i]
	}
	return out
}

func rmsNorm(x, weight []float64) []float64 {
	var squares float64
	for _, number := range x {
		squares += number * number
	}
	root := math.Sqrt(squares/float64(len(x)) + float64(float32(1e-5)))
	out := make([]float64, len(x))
	for i := range x {
		out[i] = x[i] / root * weight[i]
	}
	return out
}

// rotate turns a head by the plain rule, base 10000 and no scaling.
func (o *oracle) rotate(head []float64, position int) []float64 {
	out := make([]float64, len(head))
	n := len(head)
	for i := range n / 2 {
		angle := float64(position) * math.Pow(10000, -2*float64(i)/float64(n))
		a, b := 2*i, 2*i+1
		if o.architecture != "llama" {
			a, b = i, i+n/2
		}
		out[a] = head[a]*math.Cos(angle) - head[b]*math.Sin(angle)
		out[b] = head[a]*math.Sin(angle) + head[b]*math.Cos(angle)
	}
	return out
}

// heads cuts a projection into heads, normalised (qwen3) and turned.
func (o *oracle) heads(x []float64, size, position int, norm table, turn bool) table {
	var heads table
	for ; len(x) > 0; x = x[size:] {
		head := x[:size]
		if norm != nil {
			head = rmsNorm(head, norm[0])
		}
		if turn {
			head = o.rotate(head, position)
		}
		heads = append(heads, head)
	}
	return heads
}

func (o *oracle) project(layer int, name string, x []float64) []float64 {
	out := o.tensor("blk.%d.%s.weight", layer, name).times(x)
	if bias := o.tensor("blk.%d.%s.bias", layer, name); bias != nil {
		out = plus(out, bias[0])
	}
	return out
}

func attendPlainly(query []float64, keys, values table) []float64 {
	scores := make([]float64, len(keys))
	var sum float64
	for p, key := range keys {
		for d := range key {
			scores[p] += query[d] * key[d]
		}
		scores[p] = math.Exp(scores[p] / math.Sqrt(float64(len(query))))
		sum += scores[p]
	}
	out := make([]float64, len(query))
	for p, value := range values {
		for d := range value {
			out[d] += scores[p] / sum * value[d]
		}
	}
	return out
}

// states returns the final hidden state, after the last norm, of every position.
func (o *oracle) states(tokens []int32) table {
	heads, keyHeads, size := o.whole("attention.head_count"), o.whole("attention.head_count_kv"), o.whole("attention.key_length")
	embedding := o.tensor("token_embd.weight")
	var states table
	for _, token := range tokens {
		states = append(states, embedding[token])
	}
	for layer := range o.whole("block_count") {
		keys, values := make([]table, keyHeads), make([]table, keyHeads)
		for position, state := range states {
			normed := rmsNorm(state, o.tensor("blk.%d.attn_norm.weight", layer)[0])
			queries := o.heads(o.project(layer, "attn_q", normed), size, position, o.tensor("blk.%d.attn_q_norm.weight", layer), true)
			newKeys := o.heads(o.project(layer, "attn_k", normed), size, position, o.tensor("blk.%d.attn_k_norm.weight", layer), true)
			newValues := o.heads(o.project(layer, "attn_v", normed), size, position, nil, false)
			for head := range keyHeads {
				keys[head], values[head] = append(keys[head], newKeys[head]), append(values[head], newValues[head])
			}
			var joined []float64
			for head, query := range queries {
				shared := head / (heads / keyHeads)
				joined = append(joined, attendPlainly(query, keys[shared], values[shared])...)
			}
			state = plus(state, o.project(layer, "attn_output", joined))
			normed = rmsNorm(state, o.tensor("blk.%d.ffn_norm.weight", layer)[0])
			gate, up := o.project(layer, "ffn_gate", normed), o.project(layer, "ffn_up", normed)
			for i := range gate {
				gate[i] = gate[i] / (1 + math.Exp(-gate[i])) * up[i]
			}
			states[position] = plus(state, o.project(layer, "ffn_down", gate))
		}
	}
	norm := o.tensor("output_norm.weight")[0]
	for i := range states {
		states[i] = rmsNorm(states[i], norm)
	}
	return states
}

// logits returns the logits of every position.
func (o *oracle) logits(tokens []int32) table {
	output := o.tensor("output.weight")
	if output == nil {
		output = o.tensor("token_embd.weight")
	}
	var all table
	for _, state := range o.states(tokens) {
		all = append(all, output.times(state))
	}
	return all
}

func newOracle(t *testing.T, file *gguf.File) *oracle {
	architecture, err := file.Text("general.architecture")
	if err != nil {
		t.Fatal(err)
	}
	return &oracle{t: t, file: file, architecture: architecture, decoded: make(map[string]table)}
}

// difference is the relative L2 distance of two lists of rows.
func difference(got [][]float32, want table) float64 {
	var square, norm float64
	for i, row := range want {
		for j, number := range row {
			square += math.Pow(float64(got[i][j])-number, 2)
			norm += number * number
		}
	}
	return math.Sqrt(square / norm)
}
