package runtime

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/penstockhq/penstock/internal/replace"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
)

// restoreCounters brings the limiter to where the last process left it. After a
// clean stop there is a file with its counters. What the file lacks is counted again
// from the charges in the ledger; after any other stop that is everything.
func (e *Engine) restoreCounters(ctx context.Context, log *slog.Logger) error {
	name := filepath.Join(e.store.Folder(), CountersFile)
	if err := e.importCounters(name, log); err != nil {
		return err
	}
	var failure error
	calls := func(yield func(limiter.PastCall) bool) {
		failure = e.Ledger.SettledSince(ctx, e.Limiter.RestoreSince(), func(past ledger.Settled) error {
			call := limiter.PastCall{
				Key: past.KeyID, Model: past.Model, At: past.At,
				Tokens: limiter.Tokens{Input: past.InputTokens, Output: past.OutputTokens},
			}
			if !yield(call) {
				return context.Canceled
			}
			return nil
		})
	}
	return errors.Join(e.Limiter.Restore(calls), failure)
}

// importCounters reads the file and removes it. If it stayed and this process
// crashed, the next one would start from counters that are long out of date.
func (e *Engine) importCounters(name string, log *slog.Logger) error {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = e.Limiter.Import(bufio.NewReader(file))
	if errors.Is(err, limiter.ErrSnapshot) {
		log.Warn("the counters of the limits cannot be read: they are rebuilt from the ledger", "file", name, "error", err)
		err = nil
	}
	return errors.Join(err, file.Close(), os.Remove(name))
}

// saveCounters writes the file. The limiter is closed, so nothing counts any more.
func (e *Engine) saveCounters() error {
	return replace.File(filepath.Join(e.store.Folder(), CountersFile), func(file *os.File) error {
		buffered := bufio.NewWriter(file)
		return errors.Join(e.Limiter.Export(buffered), buffered.Flush())
	})
}
