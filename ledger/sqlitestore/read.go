package sqlitestore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// Append makes entries durable, all or none.
func (s *Store) Append(ctx context.Context, entries []ledger.Entry) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writer == nil {
		return errClosed
	}
	return s.writer.append(ctx, entries)
}

var errClosed = errors.New("store is closed")

// Replay calls use for the entries after a sequence number, in order. It checks every
// entry, and that the chain goes on to its end, and returns an error that wraps
// ledger.ErrCorrupt and names the entry that is not as it was written.
func (s *Store) Replay(ctx context.Context, after int64, use func(*ledger.Entry) error) error {
	return s.reading(ctx, func(from queryer) error {
		start, err := startOf(ctx, from, after)
		if err != nil {
			return err
		}
		end, err := readHead(ctx, from)
		if err != nil {
			return err
		}
		c := newChecker(start, end)
		if err := c.each(ctx, from, after, use); err != nil {
			return err
		}
		return c.finish()
	})
}

// checker compares entries, as they are read in order, with the chain.
type checker struct {
	*linker
	end    ledger.Head // of the chain
	before int64       // sequence number of the entry before
	first  int64       // of the link that is being made
	buffer []byte
}

func newChecker(start, end ledger.Head) *checker {
	return &checker{linker: newLinker(start), end: end, before: start.Sequence, first: start.Sequence + 1}
}

// each reads the entries that the checker's start is followed by. It calls use for
// those after a sequence number.
func (c *checker) each(ctx context.Context, from queryer, after int64, use func(*ledger.Entry) error) error {
	rows, err := from.QueryContext(ctx, "SELECT "+columnList+", chain.sha256 FROM entry LEFT JOIN chain ON chain.last = entry.seq "+
		"WHERE seq > ? ORDER BY seq", c.before)
	if err != nil {
		return fmt.Errorf("read entries: %w", plain(err))
	}
	defer rows.Close()
	var r row
	var link []byte
	targets := append(r.targets(), &link)
	for rows.Next() {
		link = nil
		if err := rows.Scan(targets...); err != nil {
			return fmt.Errorf("read entries after %d: %w", c.before, err)
		}
		e, err := r.entry()
		if err == nil {
			err = c.check(&r, e)
		}
		if err == nil && e.Sequence > after {
			err = use(e)
		}
		if err == nil && link != nil {
			err = c.close(link)
		}
		if err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read entries after %d: %w", c.before, plain(err))
	}
	return nil
}

// check takes an entry into the link that is being made, if it is what it should be by
// itself.
func (c *checker) check(r *row, e *ledger.Entry) error {
	if e.Sequence != c.before+1 {
		return corrupt(e.Sequence, "follows entry %d", c.before)
	}
	c.buffer = r.body(c.buffer[:0])
	// Those of version 1 have no checksum.
	if want, sum := r[columnChecksum], checksum(c.buffer); want != nil && want != sum {
		return corrupt(e.Sequence, "is not what was written: its checksum is %d, not %v", sum, want)
	}
	c.before = e.Sequence
	c.buffer = r.finish(c.buffer)
	c.add(e.Sequence, e.At, c.buffer)
	return nil
}

// close compares the link that ends here with what the chain has.
func (c *checker) close(want []byte) error {
	first, head := c.first, c.linker.finish()
	c.first = head.Sequence + 1
	switch {
	case len(want) == sha256.Size && [sha256.Size]byte(want) == head.Hash:
		return nil
	case first == head.Sequence:
		return corrupt(first, "is not what was written: its hash is not that of the chain")
	default:
		return corrupt(first, "or one up to entry %d is not what was written: their hash is not that of the chain", head.Sequence)
	}
}

// finish checks that log and chain end together.
func (c *checker) finish() error {
	switch {
	case c.last != 0:
		return corrupt(c.first, "is not in the chain of hashes")
	case c.end.Sequence > c.before:
		return corrupt(c.before+1, "is missing: the chain of hashes goes on to entry %d", c.end.Sequence)
	default:
		return nil
	}
}

// targets are where Scan puts the values of a row.
func (r *row) targets() []any {
	targets := make([]any, 0, len(r)+1)
	for i := range r {
		targets = append(targets, &r[i])
	}
	return targets
}

// Entries returns at most limit entries after a sequence number, in order.
func (s *Store) Entries(ctx context.Context, after int64, limit int) ([]ledger.Entry, error) {
	return s.FindEntries(ctx, ledger.EntryQuery{After: after, Limit: limit})
}

// FindEntries returns the entries that match a query, in order. A range of time becomes
// one of sequence numbers, so that only its entries are read; there is no other index,
// because each would make every commit dearer.
func (s *Store) FindEntries(ctx context.Context, query ledger.EntryQuery) ([]ledger.Entry, error) {
	conditions, arguments, err := s.where(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", plain(err))
	}
	rows, err := s.readers.QueryContext(ctx, "SELECT "+columnList+" FROM entry WHERE "+conditions+" ORDER BY seq LIMIT ?",
		append(arguments, query.Limit)...)
	if err != nil {
		return nil, fmt.Errorf("read entries: %w", plain(err))
	}
	defer rows.Close()
	var entries []ledger.Entry
	var r row
	targets := r.targets()
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, fmt.Errorf("read entries: %w", plain(err))
		}
		e, err := r.entry()
		if err != nil {
			return nil, fmt.Errorf("read entries: %w", err)
		}
		entries = append(entries, *e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read entries: %w", plain(err))
	}
	return entries, nil
}

// where returns the conditions of a query and their values.
func (s *Store) where(ctx context.Context, query ledger.EntryQuery) (conditions string, arguments []any, err error) {
	after, through := query.After, int64(math.MaxInt64)
	if !query.From.IsZero() {
		since, err := s.Since(ctx, query.From)
		if err != nil {
			return "", nil, err
		}
		after = max(after, since)
	}
	if !query.Before.IsZero() {
		if through, err = s.Since(ctx, query.Before); err != nil {
			return "", nil, err
		}
	}
	// One condition for each end: of two for the same end SQLite seeks by either.
	conditions, arguments = "seq > ? AND seq <= ?", []any{after, through}
	add := func(condition string, values ...any) {
		conditions += " AND " + condition
		arguments = append(arguments, values...)
	}
	for column, value := range map[string]string{"account": query.Account, "key_id": query.KeyID, "request_id": query.RequestID} {
		if value != "" {
			add(column+" = ?", value)
		}
	}
	if len(query.Kinds) > 0 {
		names := make([]any, len(query.Kinds))
		for i, kind := range query.Kinds {
			names[i] = kind.String()
		}
		add("kind IN (?"+strings.Repeat(", ?", len(names)-1)+")", names...)
	}
	return conditions, arguments, nil
}

// Since returns the sequence number of the last entry before a moment. Times never
// decrease, so that a binary search over the primary key finds it without an index.
func (s *Store) Since(ctx context.Context, moment time.Time) (int64, error) {
	var first, last sql.NullInt64
	err := s.readers.QueryRowContext(ctx, "SELECT (SELECT min(seq) FROM entry), (SELECT max(seq) FROM entry)").Scan(&first, &last)
	if err != nil || !first.Valid {
		return 0, err
	}
	low, high := first.Int64, last.Int64+1 // the answer is the first entry not before moment, less one
	for low < high {
		middle := low + (high-low)/2
		var at int64
		if err := s.readers.QueryRowContext(ctx, "SELECT at FROM entry WHERE seq = ?", middle).Scan(&at); err != nil {
			return 0, err
		}
		if at < moment.UnixMicro() {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low - 1, nil
}
