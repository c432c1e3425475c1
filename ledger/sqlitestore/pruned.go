package sqlitestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// remains is what stays of entries that are pruned, beside the state after them: the
// usage of their days, which the snapshot brings, and the balances for the view.
type remains struct {
	through  int64
	usageDay int64 // the last day whose usage follows from no entry any more
	balances []closedBalance
}

// closedBalance is the last balance of an account in entries that are pruned.
type closedBalance struct {
	account     string
	balance, at int64
}

// remains finds out what stays after pruning up to a baseline. It reads, so that
// nothing that is written has to wait. What earlier pruning has left must still be as
// it was: after this, nobody could tell.
func (s *Store) remains(ctx context.Context, baseline ledger.Snapshot) (r remains, err error) {
	r.through = baseline.Sequence
	for i := range baseline.Closed {
		r.usageDay = max(r.usageDay, floorDay(baseline.Closed[i].Day))
	}
	err = s.reading(ctx, func(from queryer) error {
		if err := checkPruned(ctx, from); err != nil {
			return err
		}
		var at sql.NullInt64
		err := from.QueryRowContext(ctx, `SELECT (SELECT at FROM entry WHERE seq = ?),
			max(?, coalesce((SELECT max(usage_day) FROM pruned), 0))`, r.through, r.usageDay).Scan(&at, &r.usageDay)
		if err != nil {
			return err
		}
		if at.Valid {
			r.usageDay = max(r.usageDay, floorDay(time.UnixMicro(at.Int64)))
		}
		r.balances, err = lastBalances(ctx, from, r.through)
		return err
	})
	return r, err
}

// lastBalances returns the last balance of each account in the entries up to one.
func lastBalances(ctx context.Context, from queryer, through int64) ([]closedBalance, error) {
	rows, err := from.QueryContext(ctx, `SELECT account, balance, at FROM entry WHERE seq IN (
		SELECT max(seq) FROM entry WHERE seq <= ? AND kind IN ('topup', 'adjust', 'settle', 'void') GROUP BY account)`, through)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var balances []closedBalance
	for rows.Next() {
		var b closedBalance
		if err := rows.Scan(&b.account, &b.balance, &b.at); err != nil {
			return nil, err
		}
		balances = append(balances, b)
	}
	return balances, rows.Err()
}

// keep writes what stays, with its hashes.
func (r *remains) keep(ctx context.Context, w *writer) error {
	for _, b := range r.balances {
		err := w.exec(ctx, "INSERT OR REPLACE INTO closed_balance (account, balance, at) VALUES (?, ?, ?)", b.account, b.balance, b.at)
		if err != nil {
			return err
		}
	}
	return w.sealPruned(ctx, r.through, r.usageDay)
}

// sealPruned keeps the hashes of what stays of pruned entries.
func (w *writer) sealPruned(ctx context.Context, through, usageDay int64) error {
	usage, balances, err := hashRemains(ctx, w.held, through, usageDay)
	if err != nil {
		return err
	}
	if err := w.exec(ctx, "DELETE FROM pruned"); err != nil {
		return err
	}
	return w.exec(ctx, "INSERT INTO pruned (through, usage_day, usage_sha256, balances_sha256) VALUES (?, ?, ?, ?)",
		through, usageDay, usage, balances)
}

// hashRemains returns the hashes of what stays of pruned entries.
func hashRemains(ctx context.Context, from queryer, through, usageDay int64) (usage, balances []byte, err error) {
	// Zero is hashed as nothing, as in a file whose rows did not have the last column yet.
	usage, err = hashRows(ctx, from, `SELECT ?1, ?2, day, key_id, model, account, requests, input_tokens, cached_tokens, output_tokens,
		duration_us, charged, nullif(written_off, 0) FROM closed_usage WHERE day <= ?2 ORDER BY key_id, day, model`, through, usageDay)
	if err != nil {
		return nil, nil, err
	}
	balances, err = hashRows(ctx, from, "SELECT account, balance, at FROM closed_balance ORDER BY account")
	return usage, balances, err
}

// hashRows returns the SHA-256 of all rows of a query, and of its arguments.
func hashRows(ctx context.Context, from queryer, query string, arguments ...any) ([]byte, error) {
	rows, err := from.QueryContext(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values, targets := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		targets[i] = &values[i]
	}
	sum, buffer := sha256.New(), []byte(nil)
	for i, argument := range arguments {
		buffer = appendValue(buffer, i, argument)
	}
	for sum.Write(buffer); rows.Next(); sum.Write(append(buffer, 0)) {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		buffer = buffer[:0]
		for i, value := range values {
			buffer = appendValue(buffer, i, value)
		}
	}
	return sum.Sum(nil), rows.Err()
}

// checkPruned compares what stays of pruned entries with the hashes of it.
func checkPruned(ctx context.Context, from queryer) error {
	var count, baseline, through, usageDay int64
	var usage, balances []byte
	err := from.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM pruned),
		coalesce((SELECT max(seq) FROM snapshot WHERE baseline = 1), 0)`).Scan(&count, &baseline)
	if err != nil {
		return err
	}
	err = from.QueryRowContext(ctx, "SELECT through, usage_day, usage_sha256, balances_sha256 FROM pruned").
		Scan(&through, &usageDay, &usage, &balances)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: table pruned: %w", ledger.ErrCorrupt, err)
	}
	if count > 1 || through != baseline {
		return fmt.Errorf("%w: entries up to %d are pruned, but the state to start from is that after entry %d",
			ledger.ErrCorrupt, through, baseline)
	}
	if count == 0 {
		return nil
	}
	wantUsage, wantBalances, err := hashRemains(ctx, from, through, usageDay)
	switch {
	case err != nil:
		return err
	case !bytes.Equal(usage, wantUsage):
		return fmt.Errorf("%w: the rows of closed_usage up to the last pruned day are not what was written", ledger.ErrCorrupt)
	case !bytes.Equal(balances, wantBalances):
		return fmt.Errorf("%w: the rows of closed_balance are not what was written", ledger.ErrCorrupt)
	}
	return nil
}

// Prune removes the entries up to a sequence number, which a baseline must stand for,
// some at a time so that new ones need not wait long.
func (s *Store) Prune(ctx context.Context, through int64) error {
	const perCommit = 20_000
	for {
		var first int64
		err := s.readers.QueryRowContext(ctx, "SELECT coalesce(min(seq), ?) FROM entry", through+1).Scan(&first)
		if err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		if first > through {
			break
		}
		if err := s.write(ctx, "DELETE FROM entry WHERE seq <= ?", min(first+perCommit-1, through)); err != nil {
			return fmt.Errorf("prune: %w", err)
		}
	}
	// The link that ends here stays: the chain goes on from it.
	if err := s.write(ctx, "DELETE FROM chain WHERE last < ?", through); err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}
