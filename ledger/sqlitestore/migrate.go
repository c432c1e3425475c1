package sqlitestore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// migrate brings the file to the newest schema. It runs inside one transaction, so
// that a crash leaves either the old or the new one.
func (s *Store) migrate(ctx context.Context) error {
	version, err := checkFile(ctx, s.writer.held)
	if err != nil {
		return err
	}
	if version == int64(len(migrations)) {
		return nil
	}
	return s.writer.transaction(ctx, func() error {
		for i, migration := range migrations[version:] {
			if err := s.writer.exec(ctx, migration.statements); err != nil {
				return fmt.Errorf("migrate from schema version %d: %w", version+int64(i), err)
			}
		}
		for i, migration := range migrations[version:] {
			if migration.fill == nil {
				continue
			}
			if err := migration.fill(ctx, s.writer); err != nil {
				return fmt.Errorf("migrate from schema version %d: %w", version+int64(i), err)
			}
		}
		if err := s.writer.exec(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
		return s.writer.exec(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations)))
	})
}

// checkFile tells a ledger from other files and returns its schema version, 0 for
// an empty file.
func checkFile(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, arguments ...any) *sql.Row
},
) (int64, error) {
	var version, application, tables int64
	for _, query := range []struct {
		text   string
		target *int64
	}{
		{"PRAGMA user_version", &version},
		{"PRAGMA application_id", &application},
		{"SELECT count(*) FROM sqlite_schema", &tables},
	} {
		if err := db.QueryRowContext(ctx, query.text).Scan(query.target); err != nil {
			return 0, err
		}
	}
	if tables > 0 && application != applicationID {
		return 0, fmt.Errorf("%w: it is a SQLite file of another program", ErrForeign)
	}
	if version < 0 {
		return 0, fmt.Errorf("%w: its schema is version %d", ErrForeign, version)
	}
	if version > int64(len(migrations)) {
		return 0, fmt.Errorf("%w: its schema is version %d, this program knows %d", ErrNewer, version, len(migrations))
	}
	return version, nil
}

// oldLink is how many entries of version 1 share a link: fewer name a changed one more
// closely, and take more space.
const oldLink = 16

// chainOldEntries makes the chain of a file of version 1. Its entries get no checksums:
// that would write the whole log anew.
func chainOldEntries(ctx context.Context, w *writer) error {
	start, err := sealOldPruning(ctx, w)
	if err != nil {
		return err
	}
	links, err := oldLinks(ctx, w.held, newLinker(ledger.Head{Sequence: start}))
	if err != nil {
		return err
	}
	for _, link := range links {
		if err := w.exec(ctx, "INSERT INTO chain (last, sha256) VALUES (?, ?)", link.Sequence, link.Hash[:]); err != nil {
			return err
		}
	}
	return nil
}

// oldLinks returns the links of the entries after a linker's head.
func oldLinks(ctx context.Context, from queryer, chain *linker) ([]ledger.Head, error) {
	rows, err := from.QueryContext(ctx, "SELECT "+columnList+" FROM entry WHERE seq > ? ORDER BY seq", chain.head.Sequence)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var links []ledger.Head
	if chain.head.Sequence > 0 {
		links = append(links, chain.head) // the chain starts where pruning ended
	}
	var r row
	var buffer []byte
	targets := r.targets()
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		p := rowParser{row: &r} // what cannot be read is found when the log is, as it always was
		sequence, at := p.number(columnSequence), time.UnixMicro(p.number(columnAt))
		if !chain.fits(at) || sequence-chain.head.Sequence > oldLink {
			links = append(links, chain.finish())
		}
		buffer = r.finish(r.body(buffer[:0]))
		chain.add(sequence, at, buffer)
	}
	if chain.last != 0 {
		links = append(links, chain.finish())
	}
	return links, rows.Err()
}

// sealOldPruning keeps the hashes of what pruning has left, and returns the last pruned
// entry, 0 if there is none.
func sealOldPruning(ctx context.Context, w *writer) (through int64, err error) {
	err = w.held.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM snapshot WHERE baseline = 1").Scan(&through)
	if err != nil || through == 0 {
		return 0, err
	}
	var next int64 // pruning ends with a day
	err = w.held.QueryRowContext(ctx, "SELECT coalesce(min(at), 0) FROM entry WHERE seq > ?", through).Scan(&next)
	if err != nil {
		return 0, err
	}
	return through, w.sealPruned(ctx, through, floorDay(time.UnixMicro(next))-1)
}

// findWriteOffs fills the usage of days that are over with what was written off on them.
// Of days whose entries were pruned, nothing tells it any more. A call that ended at
// midnight may have its write-off on a day without calls.
func findWriteOffs(ctx context.Context, w *writer) error {
	return w.exec(ctx, `INSERT INTO closed_usage (day, key_id, model, account, requests, input_tokens, cached_tokens,
			output_tokens, duration_us, charged, written_off)
		SELECT at / 86400000000 AS day, key_id, coalesce(model, ''), account, 0, 0, 0, 0, 0, 0, sum(amount)
			FROM entry WHERE kind = 'writeoff' AND at / 86400000000 <= (SELECT max(day) FROM closed_usage)
				AND at / 86400000000 > coalesce((SELECT max(usage_day) FROM pruned), -1) GROUP BY 1, 2, 3, 4
		ON CONFLICT DO UPDATE SET written_off = excluded.written_off`)
}
