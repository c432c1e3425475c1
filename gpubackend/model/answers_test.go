package model

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/cpu"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
)

// runner is the embedded model on the CPU engine that users run.
type runner struct {
	*cpu.Engine
	*tokenizer.Tokenizer
}

const (
	batchSize      = 16 // questions in one step
	longestPages   = 32 // KV pages of a sequence: 512 tokens
	apiTemperature = 0.7
)

func newRunner(t *testing.T) runner {
	t.Helper()
	parsed, err := gguf.Parse(File())
	if err != nil {
		t.Fatal(err)
	}
	words, err := tokenizer.FromGGUF(parsed)
	if err != nil {
		t.Fatal(err)
	}
	model, err := cpu.New(parsed, cpu.WithPages(batchSize*longestPages), cpu.WithThreads(runtime.GOMAXPROCS(0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	return runner{model, words}
}

// outcome says what a model makes of one expected answer.
type outcome struct {
	greedy  bool    // greedy decoding gives the answer, word for word
	sampled float64 // probability of the answer at the API's default temperature
}

// score finds the outcome of each pair without generating: greedy decoding
// gives an answer exactly if each of its tokens has the highest logit after the
// ones before it, and one step over question and answer shows all those logits.
func (r runner) score(t *testing.T, system string, pairs []pair) []outcome {
	t.Helper()
	outcomes := make([]outcome, 0, len(pairs))
	for part := range slices.Chunk(pairs, batchSize) {
		var batch engine.Batch
		var wanted [][]int32
		for n, p := range part {
			ids := r.prompt(t, system, p.question)
			answer := append(r.Encode(p.answer, false), r.end(t))
			first := len(batch.Rows) + len(ids) - 1
			for position, id := range append(ids, answer[:len(answer)-1]...) {
				batch.Rows = append(batch.Rows, engine.Row{Token: id, Position: int32(position), Sequence: int32(n)})
			}
			batch.Tables = append(batch.Tables, pages(n))
			for row := first; row < len(batch.Rows); row++ {
				batch.Logits = append(batch.Logits, int32(row))
			}
			wanted = append(wanted, answer)
		}
		r.step(t, &batch)
		logits := batch.LogitsOut
		for _, answer := range wanted {
			outcomes = append(outcomes, judge(logits[:len(answer)], answer))
			logits = logits[len(answer):]
		}
	}
	return outcomes
}

func judge(logits [][]float32, answer []int32) outcome {
	result := outcome{greedy: true, sampled: 1}
	for n, id := range answer {
		if best(logits[n]) != id {
			result.greedy = false
		}
		var sum float64
		for _, logit := range logits[n] {
			sum += math.Exp(float64(logit-logits[n][id]) / apiTemperature)
		}
		result.sampled /= sum
	}
	return result
}

// generate decodes greedily, a token a step.
func (r runner) generate(t *testing.T, question string) string {
	t.Helper()
	var text strings.Builder
	next, position := r.prompt(t, "", question), 0
	for range 200 {
		batch := engine.Batch{Tables: [][]int32{pages(0)}, Logits: []int32{int32(len(next) - 1)}}
		for _, id := range next {
			batch.Rows = append(batch.Rows, engine.Row{Token: id, Position: int32(position)})
			position++
		}
		r.step(t, &batch)
		id := best(batch.LogitsOut[0])
		if r.IsEnd(id) {
			return text.String()
		}
		text.Write(r.Piece(id))
		next = []int32{id}
	}
	return text.String() + " (no end)"
}

func (r runner) prompt(t *testing.T, system, question string) []int32 {
	t.Helper()
	var messages []engine.Message
	if system != "" {
		messages = append(messages, engine.Message{Role: "system", Content: system})
	}
	ids, err := r.Chat(append(messages, engine.Message{Role: "user", Content: question}))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func (r runner) step(t *testing.T, batch *engine.Batch) {
	t.Helper()
	for range batch.Logits {
		batch.LogitsOut = append(batch.LogitsOut, make([]float32, r.Info().Vocabulary))
	}
	if _, err := r.Forward(batch); err != nil {
		t.Fatal(err)
	}
}

// end returns the token that ends an answer.
func (r runner) end(t *testing.T) int32 {
	t.Helper()
	ids := r.Encode("<|im_end|>", true)
	if len(ids) != 1 || !r.IsEnd(ids[0]) {
		t.Fatalf("<|im_end|> is %v and not one token that ends a generation", ids)
	}
	return ids[0]
}

// pages returns the KV pages of a sequence of a batch.
func pages(sequence int) []int32 {
	table := make([]int32, longestPages)
	for n := range table {
		table[n] = int32(sequence*longestPages + n)
	}
	return table
}

func best(logits []float32) int32 {
	at := 0
	for n, logit := range logits {
		if logit > logits[at] {
			at = n
		}
	}
	return int32(at)
}
