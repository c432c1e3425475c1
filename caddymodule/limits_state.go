package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
)

// limitsFile holds the limiter's counters while no process has the ledger open.
const limitsFile = "limits.state"

// restoreLimits brings the limiter to where the last process left it. After a
// clean stop there is a file with its counters; what is missing, after any other
// stop all of it, is counted again from the charges in the ledger.
func (e *engine) restoreLimits(ctx context.Context, log *slog.Logger) error {
	name := filepath.Join(e.store.Folder(), limitsFile)
	if err := e.importLimits(name, log); err != nil {
		return err
	}
	var failure error
	calls := func(yield func(limiter.PastCall) bool) {
		failure = e.ledger.SettledSince(ctx, e.limiter.RestoreSince(), func(past ledger.Settled) error {
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
	return errors.Join(e.limiter.Restore(calls), failure)
}

// importLimits reads the file and removes it: should this process crash, the
// file would bring back counters that are long out of date.
func (e *engine) importLimits(name string, log *slog.Logger) error {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = e.limiter.Import(bufio.NewReader(file))
	if errors.Is(err, limiter.ErrSnapshot) {
		log.Warn("the counters of the limits cannot be read and are rebuilt from the ledger", "file", name, "error", err)
		err = nil
	}
	return errors.Join(err, file.Close(), os.Remove(name))
}

// saveLimits writes the file. The limiter is closed, so nothing counts any more.
func (e *engine) saveLimits() error {
	return replaceFile(filepath.Join(e.store.Folder(), limitsFile), func(file *os.File) error {
		buffered := bufio.NewWriter(file)
		return errors.Join(e.limiter.Export(buffered), buffered.Flush())
	})
}

// replaceFile writes a file that only its owner can read, all or nothing.
func replaceFile(name string, write func(*os.File) error) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
