package cpu

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
)

// A step works out only what is asked for, in any order, some of it twice.
func TestOnlyTheRowsThatAreAskedForAreAnswered(t *testing.T) {
	file := testmodel.Open(testmodel.Tiny())
	e := open(t, file, WithPages(8))
	tokens := tokensOf(300, 9, 5)
	all := feed(t, e, tokens)
	states := newOracle(t, file).states(tokens)
	batch := &engine.Batch{
		Tables: [][]int32{pagesFrom(1, 9)},
		Logits: []int32{7, 2, 7, 8, 2, 2, 2, 2, 2, 2, 2}, Hidden: []int32{5, 2},
	}
	for i, token := range tokens {
		batch.Rows = append(batch.Rows, engine.Row{Token: token, Position: int32(i)})
	}
	for range batch.Logits {
		batch.LogitsOut = append(batch.LogitsOut, make([]float32, e.Info().Vocabulary))
	}
	for range batch.Hidden {
		batch.HiddenOut = append(batch.HiddenOut, make([]float32, e.Info().Embedding))
	}
	timing, err := e.Forward(batch)
	if err != nil {
		t.Fatal(err)
	}
	if timing.Busy <= 0 {
		t.Errorf("the step took %s", timing.Busy)
	}
	for i, row := range batch.Logits {
		if !slices.Equal(batch.LogitsOut[i], all[row]) {
			t.Errorf("logits of row %d differ from those when all rows are asked for", row)
		}
	}
	for i, row := range batch.Hidden {
		if got := difference(batch.HiddenOut[i:i+1], states[row:row+1]); !(got < 0.03) {
			t.Errorf("hidden state of row %d: relative difference %.3g from the float64 pass", row, got)
		}
	}
}

// A prefill step in the middle of a prompt asks for nothing, and still fills the
// cache.
func TestAStepWithoutAnswersFillsTheCache(t *testing.T) {
	file := testmodel.Open(testmodel.Tiny())
	tokens := tokensOf(300, 20, 6)
	want := feed(t, open(t, file, WithPages(8)), tokens)
	e := open(t, file, WithPages(8))
	batch := &engine.Batch{Tables: [][]int32{pagesFrom(1, 20)}}
	for i, token := range tokens[:19] {
		batch.Rows = append(batch.Rows, engine.Row{Token: token, Position: int32(i)})
	}
	if _, err := e.Forward(batch); err != nil {
		t.Fatal(err)
	}
	batch.Rows = []engine.Row{{Token: tokens[19], Position: 19}}
	wantAll(e, batch)
	if _, err := e.Forward(batch); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(batch.LogitsOut[0], want[19]) {
		t.Error("logits after a silent prefill differ")
	}
}

// Stages follow each other at once and after pauses, in which workers park.
func TestPoolRunsEveryTaskOnce(t *testing.T) {
	p := newPool(4)
	defer p.close()
	var busy [4]atomic.Int32
	for round := range 3000 {
		tasks := round % 23
		done := make([]atomic.Int32, tasks)
		p.run(tasks, func(worker, task int) {
			if busy[worker].Add(1) != 1 {
				t.Error("two tasks share a worker")
			}
			done[task].Add(1)
			if round%100 == 0 {
				time.Sleep(50 * time.Microsecond)
			}
			busy[worker].Add(-1)
		})
		for task := range done {
			if got := done[task].Load(); got != 1 {
				t.Fatalf("round %d: task %d ran %d times when the stage was over", round, task, got)
			}
		}
		if round%50 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}
