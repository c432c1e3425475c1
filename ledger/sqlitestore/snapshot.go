package sqlitestore

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// partSize is how much of a snapshot goes into one row and one commit, so that
// entries need not wait long.
const partSize = 1 << 20

const secondsPerDay = 86400

// SaveSnapshot keeps a state. It writes several commits, between which entries may be
// appended; the last commit makes the snapshot valid and removes those it replaces.
func (s *Store) SaveSnapshot(ctx context.Context, snapshot ledger.Snapshot) error {
	// One at a time, because the parts of a snapshot that is still being written have
	// no owner yet and would be deleted here.
	s.saving.Lock()
	defer s.saving.Unlock()
	var gone remains
	if snapshot.Baseline {
		var err error
		if gone, err = s.remains(ctx, snapshot); err != nil {
			return err
		}
	}
	// Parts without a snapshot were left by a process that died while it wrote them.
	if err := s.write(ctx, "DELETE FROM snapshot_part WHERE snapshot NOT IN (SELECT seq FROM snapshot)"); err != nil {
		return err
	}
	if err := s.saveUsage(ctx, snapshot.Closed); err != nil {
		return err
	}
	hash := sha256.New()
	parts := &partWriter{ctx: ctx, store: s, snapshot: snapshot.Sequence}
	buffered := bufio.NewWriterSize(parts, partSize)
	if err := snapshot.Encode(io.MultiWriter(buffered, hash)); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return s.transaction(ctx, func(w *writer) error {
		err := w.exec(ctx, "INSERT OR REPLACE INTO snapshot (seq, baseline, parts, sha256) VALUES (?, ?, ?, ?)",
			snapshot.Sequence, snapshot.Baseline, parts.count, hash.Sum(nil))
		if err != nil {
			return err
		}
		// Two ordinary snapshots are kept, in case the newest cannot be read.
		old := "DELETE FROM snapshot WHERE baseline = 0 AND seq NOT IN (SELECT seq FROM snapshot WHERE baseline = 0 ORDER BY seq DESC LIMIT 2)"
		if snapshot.Baseline {
			old = fmt.Sprintf("DELETE FROM snapshot WHERE baseline = 1 AND seq < %d", snapshot.Sequence)
		}
		if err := w.exec(ctx, old); err != nil {
			return err
		}
		if snapshot.Baseline {
			if err := gone.keep(ctx, w); err != nil {
				return err
			}
		}
		return w.exec(ctx, "DELETE FROM snapshot_part WHERE snapshot NOT IN (SELECT seq FROM snapshot)")
	})
}

// partWriter writes each block as one or more rows of at most partSize bytes.
type partWriter struct {
	ctx      context.Context
	store    *Store
	snapshot int64
	count    int64
}

func (p *partWriter) Write(block []byte) (int, error) {
	for rest := block; len(rest) > 0; {
		part := rest[:min(len(rest), partSize)]
		err := p.store.write(p.ctx, "INSERT OR REPLACE INTO snapshot_part (snapshot, part, data) VALUES (?, ?, ?)", p.snapshot, p.count, part)
		if err != nil {
			return 0, err
		}
		p.count++
		rest = rest[len(part):]
	}
	return len(block), nil
}

// saveUsage keeps usage rows of days that are over. Rows that are there are replaced.
func (s *Store) saveUsage(ctx context.Context, rows []ledger.UsageRow) error {
	const perCommit = 5000
	for len(rows) > 0 {
		some := rows[:min(len(rows), perCommit)]
		rows = rows[len(some):]
		err := s.transaction(ctx, func(w *writer) error {
			for _, row := range some {
				err := w.exec(ctx, `INSERT OR REPLACE INTO closed_usage (day, key_id, model, account, requests,
					input_tokens, cached_tokens, output_tokens, duration_us, charged, written_off) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
					row.Day.Unix()/secondsPerDay, row.KeyID, row.Model, row.Owner, row.Requests,
					row.InputTokens, row.CachedTokens, row.OutputTokens, row.Duration.Microseconds(), int64(row.Charged), int64(row.WriteOff))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("keep usage: %w", err)
		}
	}
	return nil
}

// ClosedUsage returns usage rows of days that are over.
func (s *Store) ClosedUsage(ctx context.Context, query ledger.UsageQuery) ([]ledger.UsageRow, error) {
	conditions, arguments := []string{"1"}, []any{}
	for _, condition := range []struct {
		given bool
		text  string
		value any
	}{
		{query.KeyID != "", "key_id = ?", query.KeyID},
		{query.Owner != "", "account = ?", query.Owner},
		{query.Model != "", "model = ?", query.Model},
		{!query.From.IsZero(), "day >= ?", floorDay(query.From)},
		{!query.To.IsZero(), "day <= ?", floorDay(query.To)},
	} {
		if condition.given {
			conditions, arguments = append(conditions, condition.text), append(arguments, condition.value)
		}
	}
	rows, err := s.readers.QueryContext(ctx, `SELECT day, key_id, model, account, requests, input_tokens, cached_tokens,
		output_tokens, duration_us, charged, written_off FROM closed_usage WHERE `+strings.Join(conditions, " AND "), arguments...)
	if err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	defer rows.Close()
	var usage []ledger.UsageRow
	for rows.Next() {
		var row ledger.UsageRow
		var day, duration int64
		if err := rows.Scan(&day, &row.KeyID, &row.Model, &row.Owner, &row.Requests, &row.InputTokens, &row.CachedTokens,
			&row.OutputTokens, &duration, &row.Charged, &row.WriteOff); err != nil {
			return nil, fmt.Errorf("read usage: %w", err)
		}
		row.Day, row.Duration = time.Unix(day*secondsPerDay, 0).UTC(), time.Duration(duration)*time.Microsecond
		usage = append(usage, row)
	}
	return usage, rows.Err()
}

// floorDay returns the UTC day of a moment, as days since 1970-01-01.
func floorDay(moment time.Time) int64 {
	return moment.UTC().Truncate(24*time.Hour).Unix() / secondsPerDay
}

// Snapshots lists the snapshots, newest first.
func (s *Store) Snapshots(ctx context.Context) ([]ledger.SnapshotInfo, error) {
	return listSnapshots(ctx, s.readers)
}

func listSnapshots(ctx context.Context, from queryer) ([]ledger.SnapshotInfo, error) {
	rows, err := from.QueryContext(ctx, "SELECT seq, baseline, sha256 FROM snapshot ORDER BY seq DESC")
	if err != nil {
		return nil, fmt.Errorf("read snapshots: %w", err)
	}
	defer rows.Close()
	var list []ledger.SnapshotInfo
	for rows.Next() {
		var info ledger.SnapshotInfo
		var hash []byte
		if err := rows.Scan(&info.Sequence, &info.Baseline, &hash); err != nil {
			return nil, fmt.Errorf("read snapshots: %w", err)
		}
		copy(info.Hash[:], hash)
		list = append(list, info)
	}
	return list, rows.Err()
}

// ReadSnapshot calls use with a reader of the snapshot's bytes, and then checks their
// hash. It returns ledger.ErrSnapshotDamaged if they are not those that were written.
func (s *Store) ReadSnapshot(ctx context.Context, sequence int64, use func(io.Reader) error) error {
	return readSnapshot(ctx, s.readers, sequence, use)
}

func readSnapshot(ctx context.Context, from queryer, sequence int64, use func(io.Reader) error) error {
	var want []byte
	var parts int64
	err := from.QueryRowContext(ctx, "SELECT sha256, parts FROM snapshot WHERE seq = ?", sequence).Scan(&want, &parts)
	if err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	hash := sha256.New()
	source := io.TeeReader(&partReader{ctx: ctx, from: from, snapshot: sequence, count: parts}, hash)
	err = use(source)
	if err == nil {
		_, err = io.Copy(io.Discard, source)
	}
	if err == nil && !bytes.Equal(hash.Sum(nil), want) {
		err = ledger.ErrSnapshotDamaged
	}
	return err
}

// partReader reads a snapshot's rows one after the other.
type partReader struct {
	ctx         context.Context
	from        queryer
	snapshot    int64
	next, count int64
	rest        []byte
}

func (p *partReader) Read(target []byte) (int, error) {
	if len(p.rest) == 0 {
		if p.next == p.count {
			return 0, io.EOF
		}
		err := p.from.QueryRowContext(p.ctx, "SELECT data FROM snapshot_part WHERE snapshot = ? AND part = ?",
			p.snapshot, p.next).Scan(&p.rest)
		if err != nil || len(p.rest) == 0 {
			return 0, errors.Join(ledger.ErrSnapshotDamaged, err)
		}
		p.next++
	}
	n := copy(target, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// write runs one statement in a commit of its own.
func (s *Store) write(ctx context.Context, statement string, arguments ...any) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writer == nil {
		return errClosed
	}
	return s.writer.exec(ctx, statement, arguments...)
}

// transaction runs work in one commit.
func (s *Store) transaction(ctx context.Context, work func(*writer) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writer == nil {
		return errClosed
	}
	return s.writer.transaction(ctx, func() error { return work(s.writer) })
}
