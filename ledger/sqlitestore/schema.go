package sqlitestore

import "context"

// applicationID marks the file as a ledger for the file(1) program and for Open.
const applicationID = 0x504e7374 // "PNst"

// migrations bring a file from one schema version to the next. Version n is what
// the first n of them made. They are never changed, only added to.
var migrations = []struct {
	statements string
	// fill, if there is one, gives what is new its content. It runs when the file has
	// the newest schema.
	fill func(context.Context, *writer) error
}{
	{schema1, nil},
	{schema2, chainOldEntries},
	{schema3, findWriteOffs},
}

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

-- Usage of days that are over. What happened since then is in entry alone.
CREATE TABLE closed_usage (
	day           INTEGER NOT NULL, -- days since 1970-01-01, UTC
	key_id        TEXT    NOT NULL,
	model         TEXT    NOT NULL,
	account       TEXT    NOT NULL,
	requests      INTEGER NOT NULL,
	input_tokens  INTEGER NOT NULL,
	cached_tokens INTEGER NOT NULL,
	output_tokens INTEGER NOT NULL,
	duration_us   INTEGER NOT NULL,
	charged       INTEGER NOT NULL, -- micro-credits
	PRIMARY KEY (key_id, day, model)
) WITHOUT ROWID;

-- States after an entry, so that a start needs to read only what came later.
CREATE TABLE snapshot (
	seq      INTEGER PRIMARY KEY,
	baseline INTEGER NOT NULL, -- 1: entries up to seq were pruned
	parts    INTEGER NOT NULL,
	sha256   BLOB    NOT NULL
);
CREATE TABLE snapshot_part (
	snapshot INTEGER NOT NULL,
	part     INTEGER NOT NULL,
	data     BLOB    NOT NULL,
	PRIMARY KEY (snapshot, part)
);

-- Last balances from entries that were pruned.
CREATE TABLE closed_balance (
	account TEXT PRIMARY KEY,
	balance INTEGER NOT NULL,
	at      INTEGER NOT NULL
) WITHOUT ROWID;

-- What every account has, available and held together.
CREATE VIEW balances AS
	SELECT account, balance AS balance_micro, printf('%d.%06d', balance / 1000000, balance % 1000000) AS balance,
		strftime('%Y-%m-%dT%H:%M:%SZ', at / 1000000, 'unixepoch') AS changed_at
	FROM (
		SELECT account, balance, at FROM entry WHERE seq IN (
			SELECT max(seq) FROM entry WHERE kind IN ('topup', 'adjust', 'settle', 'void') GROUP BY account)
		UNION ALL
		SELECT account, balance, at FROM closed_balance WHERE account NOT IN (
			SELECT account FROM entry WHERE kind IN ('topup', 'adjust', 'settle', 'void')));

-- Who used what on which day.
CREATE VIEW usage_by_day AS
	SELECT date(day * 86400, 'unixepoch') AS day, account, key_id, model, sum(requests) AS requests,
		sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
		sum(duration_us) AS duration_us, sum(charged) AS charged_micro
	FROM (
		SELECT day, account, key_id, model, requests, input_tokens, cached_tokens, output_tokens, duration_us, charged
			FROM closed_usage WHERE day < (SELECT coalesce(min(at) / 86400000000, 1 << 40) FROM entry)
		UNION ALL
		SELECT at / 86400000000, account, key_id, coalesce(model, ''), 1, coalesce(input_tokens, 0), coalesce(cached_tokens, 0),
			coalesce(output_tokens, 0), coalesce(duration_us, 0), coalesce(amount, 0)
			FROM entry WHERE kind IN ('settle', 'void'))
	GROUP BY 1, 2, 3, 4;

-- The log in words: SELECT * FROM entries WHERE key_id = '...'.
CREATE VIEW entries AS
	SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000000.0, 'unixepoch') AS at, kind, account, key_id, model, request_id,
		reference, coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens,
		coalesce(duration_us, 0) AS duration_us, printf('%d.%06d', amount / 1000000, abs(amount) % 1000000) AS amount,
		balance AS balance_micro, usage, outcome
	FROM entry;
`

// schema2 adds the chain of hashes, and mends the sign of amounts above -1 credit.
const schema2 = `
ALTER TABLE entry ADD COLUMN checksum INTEGER; -- CRC-32C of the other columns; NULL: written by version 1

-- The SHA-256 of each commit's entries and the hash before it, see chain.go.
CREATE TABLE chain (
	last   INTEGER PRIMARY KEY, -- sequence number of the commit's last entry
	sha256 BLOB NOT NULL
);

-- What is left of pruned entries: one row, or none.
CREATE TABLE pruned (
	through         INTEGER PRIMARY KEY, -- the last pruned entry, which the baseline snapshot stands for
	usage_day       INTEGER NOT NULL,    -- the last day whose closed_usage follows from no entry any more
	usage_sha256    BLOB    NOT NULL,    -- of the closed_usage of those days
	balances_sha256 BLOB    NOT NULL     -- of closed_balance
);

DROP VIEW entries;
CREATE VIEW entries AS
	SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000000.0, 'unixepoch') AS at, kind, account, key_id, model, request_id,
		reference, coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens,
		coalesce(duration_us, 0) AS duration_us,
		printf('%s%d.%06d', iif(amount < 0, '-', ''), abs(amount) / 1000000, abs(amount) % 1000000) AS amount,
		balance AS balance_micro, usage, outcome
	FROM entry;
`

// schema3 adds what was written off to the usage.
const schema3 = `
ALTER TABLE closed_usage ADD COLUMN written_off INTEGER NOT NULL DEFAULT 0; -- micro-credits that were not charged

DROP VIEW usage_by_day;
CREATE VIEW usage_by_day AS
	SELECT date(day * 86400, 'unixepoch') AS day, account, key_id, model, sum(requests) AS requests,
		sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
		sum(duration_us) AS duration_us, sum(charged) AS charged_micro, sum(written_off) AS written_off_micro
	FROM (
		SELECT day, account, key_id, model, requests, input_tokens, cached_tokens, output_tokens, duration_us, charged, written_off
			FROM closed_usage WHERE day < (SELECT coalesce(min(at) / 86400000000, 1 << 40) FROM entry)
		UNION ALL
		SELECT at / 86400000000, account, key_id, coalesce(model, ''), 1, coalesce(input_tokens, 0), coalesce(cached_tokens, 0),
			coalesce(output_tokens, 0), coalesce(duration_us, 0), coalesce(amount, 0), 0
			FROM entry WHERE kind IN ('settle', 'void')
		UNION ALL
		SELECT at / 86400000000, account, key_id, coalesce(model, ''), 0, 0, 0, 0, 0, 0, amount
			FROM entry WHERE kind = 'writeoff')
	GROUP BY 1, 2, 3, 4;
`
