package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/penstockhq/penstock/ledger"
)

// Check looks at everything that Replay does not read: the structure of the file, the
// schema, the bytes of snapshots, and what is left of pruned days.
func (s *Store) Check(ctx context.Context) error {
	return s.reading(ctx, func(from queryer) error {
		for _, check := range []func(context.Context, queryer) error{checkPages, checkSchema, checkSnapshots, checkPruned} {
			if err := check(ctx, from); err != nil {
				return plain(err)
			}
		}
		return nil
	})
}

// checkPages lets SQLite look at its own structures.
func checkPages(ctx context.Context, from queryer) error {
	var found string
	if err := from.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return err
	}
	if found != "ok" {
		return fmt.Errorf("%w: the structure of the file is damaged: %s", ledger.ErrCorrupt, found)
	}
	return nil
}

// checkSchema compares the tables and views with those of a new ledger. What someone
// added does not matter.
func checkSchema(ctx context.Context, from queryer) error {
	memory, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer memory.Close()
	memory.SetMaxOpenConns(1)
	for _, migration := range migrations {
		if _, err := memory.ExecContext(ctx, migration.statements); err != nil {
			return err
		}
	}
	want, err := schemaOf(ctx, memory)
	if err != nil {
		return err
	}
	have, err := schemaOf(ctx, from)
	if err != nil {
		return err
	}
	for name, statement := range want {
		if have[name] != statement {
			return fmt.Errorf("%w: the definition of %s was changed", ledger.ErrCorrupt, name)
		}
	}
	return nil
}

// schemaOf returns how tables and views are defined, by type and name.
func schemaOf(ctx context.Context, from queryer) (map[string]string, error) {
	rows, err := from.QueryContext(ctx, "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	schema := map[string]string{}
	for rows.Next() {
		var name, statement string
		if err := rows.Scan(&name, &statement); err != nil {
			return nil, err
		}
		schema[name] = statement
	}
	return schema, rows.Err()
}

// checkSnapshots compares the bytes of all snapshots with their hashes.
func checkSnapshots(ctx context.Context, from queryer) error {
	list, err := listSnapshots(ctx, from)
	if err != nil {
		return err
	}
	for _, info := range list {
		err := readSnapshot(ctx, from, info.Sequence, func(io.Reader) error { return nil })
		if errors.Is(err, ledger.ErrSnapshotDamaged) {
			err = fmt.Errorf("%w: snapshot of entry %d: %w", ledger.ErrCorrupt, info.Sequence, err)
		}
		if err != nil {
			return err
		}
	}
	var sequence int64
	err = from.QueryRowContext(ctx, `SELECT coalesce(min(seq), 0) FROM snapshot
		WHERE parts <> (SELECT count(*) FROM snapshot_part WHERE snapshot = seq)`).Scan(&sequence)
	if err == nil && sequence != 0 {
		err = fmt.Errorf("%w: snapshot of entry %d has too many parts", ledger.ErrCorrupt, sequence)
	}
	return err
}

// WithoutChecksum returns the number of entries that version 1 wrote: only the hashes of
// the chain, one for each 16 of them, tell whether they were changed.
func (s *Store) WithoutChecksum(ctx context.Context) (count int64, err error) {
	err = s.readers.QueryRowContext(ctx, "SELECT count(*) FROM entry WHERE checksum IS NULL").Scan(&count)
	if err != nil {
		return 0, fmt.Errorf("count checksums: %w", plain(err))
	}
	return count, nil
}
