package cpu

import (
	"errors"
	"fmt"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// check makes sure that a batch stays within the model and the cache.
func (e *Engine) check(batch *engine.Batch) error {
	if len(batch.Rows) == 0 {
		return errors.New("the batch has no rows")
	}
	last := make([]int32, len(batch.Tables))
	for i := range last {
		last[i] = -1
	}
	for i, row := range batch.Rows {
		switch {
		case row.Token < 0 || int(row.Token) >= e.vocabulary:
			return fmt.Errorf("row %d: token %d is not in the vocabulary of %d", i, row.Token, e.vocabulary)
		case row.Position < 0 || int(row.Position) >= e.context:
			return fmt.Errorf("row %d: position %d is not in the context of %d", i, row.Position, e.context)
		case row.Sequence < 0 || int(row.Sequence) >= len(batch.Tables):
			return fmt.Errorf("row %d: sequence %d, but there are %d page tables", i, row.Sequence, len(batch.Tables))
		case int(row.Position)/pagePositions >= len(batch.Tables[row.Sequence]):
			return fmt.Errorf("row %d: position %d is beyond the %d pages of sequence %d",
				i, row.Position, len(batch.Tables[row.Sequence]), row.Sequence)
		case row.Position <= last[row.Sequence]:
			return fmt.Errorf("row %d: position %d of sequence %d comes after position %d",
				i, row.Position, row.Sequence, last[row.Sequence])
		}
		last[row.Sequence] = row.Position
	}
	for sequence, table := range batch.Tables {
		for i, page := range table {
			if page < 0 || int(page) >= e.cache.pages {
				return fmt.Errorf("page %d of sequence %d: id %d is not below %d", i, sequence, page, e.cache.pages)
			}
		}
	}
	if err := checkWanted("logits", batch.Logits, batch.LogitsOut, len(batch.Rows), e.vocabulary); err != nil {
		return err
	}
	return checkWanted("hidden state", batch.Hidden, batch.HiddenOut, len(batch.Rows), e.shape.embedding)
}

func checkWanted(what string, wanted []int32, out [][]float32, rows, size int) error {
	if len(wanted) != len(out) {
		return fmt.Errorf("%s: %d rows are wanted, %d slices are given", what, len(wanted), len(out))
	}
	for i, row := range wanted {
		if row < 0 || int(row) >= rows {
			return fmt.Errorf("%s: row %d is not one of the %d rows", what, row, rows)
		}
		if len(out[i]) != size {
			return fmt.Errorf("%s of row %d: the slice has %d values, want %d", what, row, len(out[i]), size)
		}
	}
	return nil
}
