package engine

// stepBuffers holds what a step needs, kept between steps.
type stepBuffers struct {
	sequences []*sequence // of the present step
	batch     Batch
	logitRow  []int // by sequence: its index in LogitsOut, or -1
	hiddenRow []int // by sequence: its first index in HiddenOut
	logits    []float32
	hidden    []float32
	raw       []float32 // a copy of one row, for log probabilities
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
	if b.raw == nil {
		b.raw = make([]float32, info.Vocabulary)
	}
	return batch
}

// logitsOf returns the logits of a sequence of the step, nil if it has none.
func (b *stepBuffers) logitsOf(at int) []float32 {
	if b.logitRow[at] < 0 {
		return nil
	}
	return b.batch.LogitsOut[b.logitRow[at]]
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
