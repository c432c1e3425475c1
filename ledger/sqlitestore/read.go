package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

const selectEntries = `SELECT seq, at, kind, account, key_id, model, request_id, reference, hold,
	input_tokens, cached_tokens, output_tokens, duration_us, amount, balance, price_version, usage, outcome, detail
	FROM entry WHERE seq > ? ORDER BY seq`

// Replay calls use for the entries after a sequence number, in order.
func (s *Store) Replay(ctx context.Context, after int64, use func(*ledger.Entry) error) error {
	return s.each(ctx, use, selectEntries, after)
}

// Entries returns at most limit entries after a sequence number, in order.
func (s *Store) Entries(ctx context.Context, after int64, limit int) ([]ledger.Entry, error) {
	var entries []ledger.Entry
	err := s.each(ctx, func(e *ledger.Entry) error {
		entries = append(entries, *e)
		return nil
	}, selectEntries+" LIMIT ?", after, limit)
	return entries, err
}

// each runs a query for entries.
func (s *Store) each(ctx context.Context, use func(*ledger.Entry) error, query string, arguments ...any) error {
	rows, err := s.readers.QueryContext(ctx, query, arguments...)
	if err != nil {
		return fmt.Errorf("read entries: %w", plain(err))
	}
	defer rows.Close()
	last := int64(0)
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		if err := use(e); err != nil {
			return err
		}
		last = e.Sequence
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read entries after %d: %w", last, plain(err))
	}
	return nil
}

// scan reads one row.
func scan(rows *sql.Rows) (*ledger.Entry, error) {
	var (
		e                                                     ledger.Entry
		at                                                    int64
		kind                                                  string
		account, key, model, request, reference, usage, state sql.NullString
		hold, input, cached, output, duration                 sql.NullInt64
		amount, balance, price                                sql.NullInt64
	)
	err := rows.Scan(&e.Sequence, &at, &kind, &account, &key, &model, &request, &reference, &hold,
		&input, &cached, &output, &duration, &amount, &balance, &price, &usage, &state, &e.Detail)
	if err != nil {
		// A value of another type; the sequence number is read before the others.
		return nil, fmt.Errorf("%w: entry %d: %w", ledger.ErrCorrupt, e.Sequence, err)
	}
	if e.Kind, err = ledger.ParseKind(kind); err != nil {
		return nil, fmt.Errorf("entry %d: %w", e.Sequence, err)
	}
	e.At = time.UnixMicro(at).UTC()
	e.Account, e.KeyID, e.Model = account.String, key.String, model.String
	e.RequestID, e.Reference = request.String, reference.String
	e.Hold = ledger.HoldID(hold.Int64)
	e.Quantity = ledger.Quantity{
		InputTokens: input.Int64, CachedTokens: cached.Int64, OutputTokens: output.Int64,
		Duration: time.Duration(duration.Int64) * time.Microsecond,
	}
	e.Amount, e.Balance, e.PriceVersion = ledger.Micro(amount.Int64), ledger.Micro(balance.Int64), price.Int64
	e.Usage, e.Outcome = ledger.ParseUsageSource(usage.String), ledger.ParseOutcome(state.String)
	return &e, nil
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
