package engine

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// stepBuffers holds what a step needs, kept between steps.
type stepBuffers struct {
	sequences []*sequence // of the present step
	batch     Batch
	logitRow  []int // by sequence: its index in LogitsOut, or -1
	hiddenRow []int // by sequence: its first index in HiddenOut
	logits    []float32
	hidden    []float32
	draws     []draw    // by sequence
	scratch   []ranking // by sampling goroutine
}

// draw is what a step gave a sequence: a token, or hidden states for an embedding.
type draw struct {
	drawn bool  // false while a prompt is read
	token Token // not for an embedding
	err   error
}

// planRows decides how many tokens of each running sequence the step reads. Each
// gets at least one row, so nobody waits for anybody's long prompt; what is left
// of the step is shared out evenly among the prompts.
func (s *Scheduler) planRows() {
	left := s.settings.stepTokens - len(s.running)
	hungry := 0
	for _, one := range s.running {
		one.rows = 1
		if len(one.tokens)-one.computed > 1 {
			hungry++
		}
	}
	for left > 0 && hungry > 0 {
		share := max(1, left/hungry)
		hungry = 0
		for _, one := range s.running {
			more := min(share, left, len(one.tokens)-one.computed-one.rows)
			one.rows += more
			left -= more
			if len(one.tokens)-one.computed > one.rows {
				hungry++
			}
		}
	}
}

// build makes the batch of the planned rows.
func (b *stepBuffers) build(s *Scheduler) *Batch {
	b.sequences = append(b.sequences[:0], s.running...)
	batch := &b.batch
	batch.Rows, batch.Tables = batch.Rows[:0], batch.Tables[:0]
	batch.Logits, batch.Hidden = batch.Logits[:0], batch.Hidden[:0]
	b.logitRow, b.hiddenRow = b.logitRow[:0], b.hiddenRow[:0]
	for at, one := range b.sequences {
		b.logitRow = append(b.logitRow, -1)
		b.hiddenRow = append(b.hiddenRow, len(batch.Hidden))
		for i := range one.rows {
			position := one.computed + i
			row := int32(len(batch.Rows))
			batch.Rows = append(batch.Rows, Row{Token: one.tokens[position], Position: int32(position), Sequence: int32(at)})
			switch {
			case one.request.Embed:
				batch.Hidden = append(batch.Hidden, row)
			case position == len(one.tokens)-1:
				b.logitRow[at] = len(batch.Logits)
				batch.Logits = append(batch.Logits, row)
			}
		}
		s.pool.grow(&one.lease, one.computed+one.rows)
		batch.Tables = append(batch.Tables, one.lease.pages)
	}
	info := s.runner.Info()
	batch.LogitsOut, b.logits = slices2D(batch.LogitsOut, b.logits, len(batch.Logits), info.Vocabulary)
	batch.HiddenOut, b.hidden = slices2D(batch.HiddenOut, b.hidden, len(batch.Hidden), info.Embedding)
	return batch
}

// parallelLogits is the number of logits above which a step's tokens are drawn on
// several goroutines: below, starting them costs more than it saves.
const parallelLogits = 1 << 16

// sample draws the tokens of all sequences whose prompts are read.
func (b *stepBuffers) sample() {
	b.draws = slices.Grow(b.draws[:0], len(b.sequences))[:len(b.sequences)]
	workers := 1
	if len(b.batch.LogitsOut) > 1 && len(b.batch.LogitsOut)*len(b.batch.LogitsOut[0]) >= parallelLogits {
		workers = min(runtime.GOMAXPROCS(0), len(b.batch.LogitsOut))
	}
	for len(b.scratch) < workers {
		b.scratch = append(b.scratch, ranking{})
	}
	var next atomic.Int64
	work := func(scratch *ranking) {
		for at := int(next.Add(1)) - 1; at < len(b.sequences); at = int(next.Add(1)) - 1 {
			b.draws[at] = b.drawFor(at, scratch)
		}
	}
	var others sync.WaitGroup
	for i := 1; i < workers; i++ {
		others.Go(func() { work(&b.scratch[i]) })
	}
	work(&b.scratch[0])
	others.Wait()
}

// drawFor draws the token of one sequence, if the step computed its logits. For an
// embedding it only looks whether the hidden states are numbers.
func (b *stepBuffers) drawFor(at int, scratch *ranking) draw {
	if b.sequences[at].request.Embed {
		if !slices.ContainsFunc(b.hiddenOf(at), func(hidden []float32) bool { return !finite(hidden) }) {
			return draw{drawn: true}
		}
		return draw{drawn: true, err: fmt.Errorf("%w: hidden states that are not numbers", ErrEngine)}
	}
	if b.logitRow[at] < 0 {
		return draw{}
	}
	one, logits := b.sequences[at], b.batch.LogitsOut[b.logitRow[at]]
	if !finite(logits) {
		return draw{drawn: true, err: fmt.Errorf("%w: logits that are not numbers", ErrEngine)}
	}
	if !one.request.Logprobs {
		return draw{drawn: true, token: Token{ID: one.sampler.sample(logits, one.tokens, scratch)}}
	}
	// Log probabilities are the model's own: taken before penalties and filters.
	normal := logSum(logits)
	top := candidates(logits, one.request.TopLogprobs, normal, scratch)
	raw := slices.Clone(logits)
	id := one.sampler.sample(logits, one.tokens, scratch)
	return draw{drawn: true, token: Token{ID: id, Logprob: logprob(raw[id], normal), Top: top}}
}

// hiddenOf returns the hidden states of the rows of a sequence of the step.
func (b *stepBuffers) hiddenOf(at int) [][]float32 {
	first := b.hiddenRow[at]
	return b.batch.HiddenOut[first : first+b.sequences[at].rows]
}

// slices2D cuts rows of one width out of a flat array that grows when it must.
func slices2D(rows [][]float32, flat []float32, count, width int) ([][]float32, []float32) {
	if len(flat) < count*width {
		flat = make([]float32, count*width)
	}
	rows = rows[:0]
	for i := range count {
		rows = append(rows, flat[i*width:(i+1)*width:(i+1)*width])
	}
	return rows, flat
}
