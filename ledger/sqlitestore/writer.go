package sqlitestore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstockhq/penstock/ledger"
)

// writer is the one connection that writes. It speaks to the driver directly,
// because database/sql would add a lock and an allocation to every value.
type writer struct {
	db      *sql.DB
	held    *sql.Conn
	driver  driver.Conn
	any     inserts
	charges inserts // of ordinary charges
	begin   driver.StmtExecContext
	commit  driver.StmtExecContext
	values  []driver.NamedValue

	addLink    driver.StmtExecContext
	linkValues []driver.NamedValue
	linkHash   [sha256.Size]byte // the second of linkValues
	chain      *linker
	row        row
	buffer     []byte
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

// mostRows is the maximum number of entries in one INSERT. Running a statement
// costs about half as much as binding the values of one entry.
const mostRows = 16

// inserts are statements that insert entries which have the same values in some columns.
// To bind a value, a text above all, costs more than to have it in the statement.
type inserts struct {
	same  map[int]string // by column: the value as SQL has it
	bound []int          // the other columns
	by    [mostRows + 1]driver.StmtExecContext
}

// ordinaryCharge is what the rows of ordinary charges have in common.
var ordinaryCharge = map[int]string{
	columnKind: "'settle'", columnUsage: "'reported'", columnOutcome: "'ok'", columnReference: "NULL", columnDetail: "NULL",
}

// isOrdinaryCharge reports whether ordinaryCharge fits an entry.
func isOrdinaryCharge(e *ledger.Entry) bool {
	return e.Kind == ledger.KindSettle && e.Usage == ledger.UsageReported && e.Outcome == ledger.OutcomeOK &&
		e.Reference == "" && len(e.Detail) == 0
}

// compile prepares the statements.
func (s *inserts) compile(ctx context.Context, w *writer) (err error) {
	values := make([]string, len(columns))
	for column := range columns {
		values[column] = "?"
		if value, same := s.same[column]; same {
			values[column] = value
			continue
		}
		s.bound = append(s.bound, column)
	}
	row := "(" + strings.Join(values, ", ") + ")"
	for rows := 1; rows <= mostRows && err == nil; rows++ {
		s.by[rows], err = w.compile(ctx, "INSERT INTO entry ("+columnList+") VALUES "+strings.Repeat(row+", ", rows-1)+row)
	}
	return err
}

func (w *writer) compile(ctx context.Context, text string) (driver.StmtExecContext, error) {
	compiled, err := w.driver.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return compiled.(driver.StmtExecContext), nil
}

// prepare compiles the statements of the hot path and finds the chain's head.
func (w *writer) prepare(ctx context.Context) (err error) {
	w.charges.same = ordinaryCharge
	if err := errors.Join(w.any.compile(ctx, w), w.charges.compile(ctx, w)); err != nil {
		return err
	}
	for target, text := range map[*driver.StmtExecContext]string{
		&w.begin: "BEGIN IMMEDIATE", &w.commit: "COMMIT", &w.addLink: "INSERT INTO chain (last, sha256) VALUES (?, ?)",
	} {
		if *target, err = w.compile(ctx, text); err != nil {
			return err
		}
	}
	w.values = make([]driver.NamedValue, mostRows*len(columns))
	for i := range w.values {
		w.values[i].Ordinal = i + 1
	}
	w.linkValues = []driver.NamedValue{{Ordinal: 1}, {Ordinal: 2, Value: w.linkHash[:]}}
	head, err := readHead(ctx, w.held)
	w.chain = newLinker(head)
	return err
}

// append writes entries, and what they add to the chain, in one transaction.
func (w *writer) append(ctx context.Context, entries []ledger.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if _, err := w.begin.ExecContext(ctx, nil); err != nil {
		return err
	}
	before := w.chain.head
	err := w.insertAll(ctx, entries)
	if err == nil {
		if _, err := w.commit.ExecContext(ctx, nil); err != nil {
			return err
		}
		return nil
	}
	w.chain.restart(before)
	return errors.Join(err, w.exec(ctx, "ROLLBACK"))
}

// insertAll inserts entries and links.
func (w *writer) insertAll(ctx context.Context, entries []ledger.Entry) error {
	for rest := entries; len(rest) > 0; {
		some := rest[:min(len(rest), mostRows)]
		rest = rest[len(some):]
		insert := &w.charges
		for i := range some {
			if !isOrdinaryCharge(&some[i]) {
				insert = &w.any
			}
		}
		width := len(insert.bound)
		for i := range some {
			if err := w.bind(ctx, w.values[i*width:(i+1)*width], insert, &some[i]); err != nil {
				return fmt.Errorf("entry %d: %w", some[i].Sequence, err)
			}
		}
		if _, err := insert.by[len(some)].ExecContext(ctx, w.values[:len(some)*width]); err != nil {
			return fmt.Errorf("entry %d: %w", some[0].Sequence, err)
		}
	}
	return w.finishLink(ctx)
}

// bind sets the values of one entry and takes it into the chain.
func (w *writer) bind(ctx context.Context, v []driver.NamedValue, insert *inserts, e *ledger.Entry) error {
	if !w.chain.fits(e.At) {
		if err := w.finishLink(ctx); err != nil {
			return err
		}
	}
	w.row.set(e)
	w.buffer = w.row.body(w.buffer[:0])
	w.row[columnChecksum] = checksum(w.buffer)
	w.buffer = w.row.finish(w.buffer)
	w.chain.add(e.Sequence, e.At, w.buffer)
	for i, column := range insert.bound {
		v[i].Value = w.row[column]
	}
	return nil
}

// finishLink adds the link that was being made to the chain.
func (w *writer) finishLink(ctx context.Context) error {
	head := w.chain.finish()
	w.linkHash = head.Hash
	w.linkValues[0].Value = head.Sequence
	_, err := w.addLink.ExecContext(ctx, w.linkValues)
	return err
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
	for _, statement := range slices.Concat(w.any.by[:], w.charges.by[:], []driver.StmtExecContext{w.begin, w.commit, w.addLink}) {
		if compiled, ok := statement.(driver.Stmt); ok {
			problems = append(problems, compiled.Close())
		}
	}
	return errors.Join(append(problems, w.held.Close(), w.db.Close())...)
}
