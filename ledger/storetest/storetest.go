// Package storetest tests that a store keeps what the interface ledger.Store promises.
// Whoever writes one runs it in a test:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t testing.TB, directory string) (ledger.Store, error) {
//			return mystore.Open(t.Context(), directory)
//		})
//	}
//
// It tests what can be seen through the interface: entries, snapshots, usage, pruning,
// heads, locks, what is left after closing and reopening, and a ledger on top. What it
// cannot do is cut the power or damage a file. Test that the store survives a process
// that is killed at any moment, and that Replay, ReadSnapshot and Check find bytes that
// were changed, beside this package.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

// Open opens the store of a directory, which exists and is empty the first time. A store
// that is not made of files takes the directory as a name: two directories are two
// stores. The directory is opened again after Close, and also while it is open, which
// must give an error that wraps ledger.ErrLocked.
type Open func(t testing.TB, directory string) (ledger.Store, error)

// Run tests a kind of store, each promise in a subtest.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, check := range checks {
		t.Run(check.name, func(t *testing.T) {
			if err := check.run(t, open); err != nil {
				t.Error(err)
			}
		})
	}
}

// check tests one promise. It returns an error rather than to fail a test, so that a
// test can prove that it finds a mistake.
type check struct {
	name string
	test func(*subject) error
}

// checks are all promises. The names are those of the subtests.
var checks = []check{
	{"entries read back as written", readBack},
	{"entries of a page", pages},
	{"a replay ends with its first error", replayEnds},
	{"an append is whole or not there", appendWhole},
	{"entries since a moment", since},
	{"entries that match a query", finder},
	{"readers beside a writer", besideWriter},
	{"snapshots read back as written", snapshotReadBack},
	{"a snapshot is whole or not there", snapshotWhole},
	{"the newest snapshots are kept", snapshotsKept},
	{"usage that came with snapshots", closedUsage},
	{"pruned entries", pruned},
	{"the head stands for all entries", heads},
	{"all is there after reopening", reopened},
	{"one open at a time", locked},
	{"nothing is written after closing", closed},
	{"room and place", place},
	{"a ledger on top", ledgerOnTop},
	{"a ledger is rescued", rescued},
}

// run gives the check stores of its own and closes what it leaves open.
func (c *check) run(t testing.TB, open Open) error {
	s := &subject{t: t, opener: open, ctx: t.Context()}
	defer func() {
		for _, store := range s.opened {
			if !store.closed {
				_ = store.Close() // the check has said what is wrong
			}
		}
	}()
	return c.test(s)
}

// subject is the kind of store that is tested.
type subject struct {
	t      testing.TB
	ctx    context.Context
	opener Open
	opened []*opened
}

// opened is an open store and its directory.
type opened struct {
	ledger.Store
	subject   *subject
	directory string
	closed    bool
}

// fresh opens an empty store.
func (s *subject) fresh() (*opened, error) { return s.open(s.t.TempDir()) }

// with opens a store that has the given commits.
func (s *subject) with(commits ...[]ledger.Entry) (*opened, error) {
	store, err := s.fresh()
	if err != nil {
		return nil, err
	}
	for _, entries := range commits {
		if err := store.Append(s.ctx, entries); err != nil {
			return nil, fmt.Errorf("append: %w", err)
		}
	}
	return store, nil
}

func (s *subject) open(directory string) (*opened, error) {
	store, err := s.opener(s.t, directory)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	o := &opened{Store: store, subject: s, directory: directory}
	s.opened = append(s.opened, o)
	return o, nil
}

// Close closes the store.
func (o *opened) Close() error {
	o.closed = true
	return o.Store.Close()
}

// reopen closes the store and opens its directory again.
func (o *opened) reopen() (*opened, error) {
	if err := o.Close(); err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	return o.subject.open(o.directory)
}

// twice looks at the store, reopens it and looks again.
func (o *opened) twice(look func(*opened) error) error {
	if err := look(o); err != nil {
		return err
	}
	again, err := o.reopen()
	if err != nil {
		return err
	}
	if err := look(again); err != nil {
		return fmt.Errorf("after reopening: %w", err)
	}
	return nil
}

// errStop is what a function returns that was given to a store, to be found again.
var errStop = errors.New("stop here")

// wrong says what is wrong, and the error that came with it, if any.
func wrong(err error, format string, arguments ...any) error {
	if err == nil {
		return fmt.Errorf(format, arguments...)
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, arguments...), err)
}
