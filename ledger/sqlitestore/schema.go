package sqlitestore

import (
	"context"
	"fmt"
)

// applicationID marks the file as a ledger for the file(1) program and for Open.
const applicationID = 0x504e7374 // "PNst"

// migrations bring a file from one schema version to the next. Version n is what
// the first n of them made. They are never changed, only added to.
var migrations = []string{schema1}

const schema1 = `
CREATE TABLE entry (
	seq           INTEGER PRIMARY KEY, -- 1, 2, 3, ... without gaps
	at            INTEGER NOT NULL,    -- microseconds since 1970, UTC, never decreasing
	kind          TEXT    NOT NULL,    -- epoch account key price topup adjust settle void writeoff checkpoint
	account       TEXT,
	key_id        TEXT,
	model         TEXT,
	request_id    TEXT,
	reference     TEXT,                -- idempotency key of a topup; what was done to a key
	hold          INTEGER,             -- epoch * 2^40 + counter
	input_tokens  INTEGER,
	cached_tokens INTEGER,
	output_tokens INTEGER,
	duration_us   INTEGER,
	amount        INTEGER,             -- micro-credits: charged, added or lost
	balance       INTEGER,             -- of the account afterwards: available and held
	price_version INTEGER,
	usage         TEXT,
	outcome       TEXT,
	detail        TEXT                 -- JSON
);

CREATE VIEW balances AS
	SELECT account, balance AS balance_micro, at / 1000000 AS unix_time
	FROM entry WHERE seq IN (
		SELECT max(seq) FROM entry WHERE kind IN ('topup', 'adjust', 'settle', 'void') GROUP BY account);
`

// migrate brings the file to the newest schema. It runs inside one transaction, so
// that a crash leaves either the old or the new one.
func (s *Store) migrate(ctx context.Context) error {
	version, err := s.writer.integer(ctx, "PRAGMA user_version")
	if err != nil {
		return err
	}
	application, err := s.writer.integer(ctx, "PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := s.writer.integer(ctx, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	if tables > 0 && application != applicationID {
		return fmt.Errorf("%w: it is a SQLite file of another program", ErrForeign)
	}
	if version > int64(len(migrations)) {
		return fmt.Errorf("%w: its schema is version %d, this program knows %d", ErrNewer, version, len(migrations))
	}
	if version == int64(len(migrations)) {
		return nil
	}
	return s.writer.transaction(ctx, func() error {
		for _, statement := range migrations[version:] {
			if err := s.writer.exec(ctx, statement); err != nil {
				return fmt.Errorf("migrate from schema version %d: %w", version, err)
			}
		}
		if err := s.writer.exec(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
			return err
		}
		return s.writer.exec(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations)))
	})
}
