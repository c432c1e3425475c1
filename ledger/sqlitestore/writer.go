package sqlitestore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/penstockhq/penstock/ledger"
)

// writer is the one connection that writes. It speaks to the driver directly,
// because database/sql would add a lock and an allocation to every value.
type writer struct {
	db     *sql.DB
	held   *sql.Conn
	driver driver.Conn
	insert [mostRows + 1]driver.StmtExecContext // by the number of entries, from 1
	begin  driver.StmtExecContext
	commit driver.StmtExecContext
	values []driver.NamedValue
}

// openWriter connects.
func openWriter(ctx context.Context, source string) (*writer, error) {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	held, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	w := &writer{db: db, held: held}
	// The connection stays ours until close, so its driver may leave the callback.
	err = held.Raw(func(raw any) error { w.driver = raw.(driver.Conn); return nil })
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

const (
	insertEntry = `INSERT INTO entry (seq, at, kind, account, key_id, model, request_id, reference, hold,
	input_tokens, cached_tokens, output_tokens, duration_us, amount, balance, price_version, usage, outcome, detail)
	VALUES `
	entryValues  = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	entryColumns = 19
	// mostRows is the maximum number of entries in one INSERT. Running a statement
	// costs about half as much as binding the values of one entry.
	mostRows = 16
)

// prepare compiles the statements of the hot path.
func (w *writer) prepare(ctx context.Context) error {
	texts := map[*driver.StmtExecContext]string{&w.begin: "BEGIN IMMEDIATE", &w.commit: "COMMIT"}
	for rows := 1; rows <= mostRows; rows++ {
		texts[&w.insert[rows]] = insertEntry + strings.Repeat(entryValues+", ", rows-1) + entryValues
	}
	for target, text := range texts {
		compiled, err := w.driver.(driver.ConnPrepareContext).PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		*target = compiled.(driver.StmtExecContext)
	}
	w.values = make([]driver.NamedValue, mostRows*entryColumns)
	for i := range w.values {
		w.values[i].Ordinal = i + 1
	}
	return nil
}

// append writes entries in one transaction.
func (w *writer) append(ctx context.Context, entries []ledger.Entry) error {
	if _, err := w.begin.ExecContext(ctx, nil); err != nil {
		return err
	}
	for rest := entries; len(rest) > 0; {
		rows := min(len(rest), mostRows)
		for i := range rows {
			bind(w.values[i*entryColumns:], &rest[i])
		}
		if _, err := w.insert[rows].ExecContext(ctx, w.values[:rows*entryColumns]); err != nil {
			return errors.Join(fmt.Errorf("entry %d: %w", rest[0].Sequence, err), w.exec(ctx, "ROLLBACK"))
		}
		rest = rest[rows:]
	}
	if _, err := w.commit.ExecContext(ctx, nil); err != nil {
		return err
	}
	return nil
}

// bind sets the values of one entry. Zero values become NULL, which SQLite stores
// in no space at all.
func bind(v []driver.NamedValue, e *ledger.Entry) {
	v[0].Value = e.Sequence
	v[1].Value = e.At.UnixMicro()
	v[2].Value = e.Kind.String()
	v[3].Value = text(e.Account)
	v[4].Value = text(e.KeyID)
	v[5].Value = text(e.Model)
	v[6].Value = text(e.RequestID)
	v[7].Value = text(e.Reference)
	v[8].Value = number(int64(e.Hold))
	v[9].Value = number(e.Quantity.InputTokens)
	v[10].Value = number(e.Quantity.CachedTokens)
	v[11].Value = number(e.Quantity.OutputTokens)
	v[12].Value = number(e.Quantity.Duration.Microseconds())
	v[13].Value = number(int64(e.Amount))
	v[14].Value = nil
	if e.Account != "" {
		v[14].Value = int64(e.Balance)
	}
	v[15].Value = number(e.PriceVersion)
	v[16].Value, v[17].Value = nil, nil
	switch e.Kind {
	case ledger.KindSettle, ledger.KindVoid, ledger.KindCheckpoint:
		v[16].Value, v[17].Value = e.Usage.String(), e.Outcome.String()
	}
	v[18].Value = nil
	if len(e.Detail) > 0 {
		v[18].Value = string(e.Detail)
	}
}

func text(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

func number(n int64) driver.Value {
	if n == 0 {
		return nil
	}
	return n
}

// exec runs statements that return nothing.
func (w *writer) exec(ctx context.Context, statement string, arguments ...any) error {
	_, err := w.held.ExecContext(ctx, statement, arguments...)
	return err
}

// transaction runs work in one transaction. Canceling ctx does not interrupt BEGIN,
// COMMIT and ROLLBACK: later entries would fall into a transaction that was left open.
func (w *writer) transaction(ctx context.Context, work func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := work(); err != nil {
		return errors.Join(err, w.exec(ctx, "ROLLBACK"))
	}
	return w.exec(ctx, "COMMIT")
}

// close ends the connection.
func (w *writer) close() error {
	var problems []error
	for _, statement := range append(w.insert[:], w.begin, w.commit) {
		if compiled, ok := statement.(driver.Stmt); ok {
			problems = append(problems, compiled.Close())
		}
	}
	return errors.Join(append(problems, w.held.Close(), w.db.Close())...)
}
