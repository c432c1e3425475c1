package sqlitestore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// The chain is one hash for each commit: the SHA-256 of the hash before it and the rows
// of the commit's entries, with all their columns. A commit that spans midnight (UTC)
// has one for each day, so that days can be pruned. The hash of the last link stands
// for the whole log.

// linker makes the links of a chain.
type linker struct {
	head ledger.Head // of the last link that is finished
	sum  hash.Hash   // of the link that is being made
	last int64       // sequence number of its last entry; 0: it has none
	day  int64       // that its entries are of
}

// newLinker continues the chain after its head.
func newLinker(head ledger.Head) *linker {
	l := &linker{sum: sha256.New()}
	l.restart(head)
	return l
}

// restart drops the link that was being made.
func (l *linker) restart(head ledger.Head) {
	l.head, l.last = head, 0
	l.sum.Reset()
	l.sum.Write(l.head.Hash[:])
}

// fits reports whether an entry of this moment may go into the link that is being made.
func (l *linker) fits(at time.Time) bool { return l.last == 0 || floorDay(at) == l.day }

// add takes the bytes of an entry's row into the link.
func (l *linker) add(sequence int64, at time.Time, encoded []byte) {
	l.sum.Write(encoded)
	l.last, l.day = sequence, floorDay(at)
}

// finish ends the link that is being made, if it has entries, and returns the head.
func (l *linker) finish() ledger.Head {
	if l.last == 0 {
		return l.head
	}
	head := ledger.Head{Sequence: l.last}
	l.sum.Sum(head.Hash[:0])
	l.restart(head)
	return head
}

// queryer is a connection or transaction that reads.
type queryer interface {
	QueryContext(ctx context.Context, query string, arguments ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, arguments ...any) *sql.Row
}

// reading calls use with a transaction that sees the file as it is now.
func (s *Store) reading(ctx context.Context, use func(queryer) error) error {
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return plain(err)
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	return use(tx)
}

// Head returns the last link of the chain.
func (s *Store) Head(ctx context.Context) (ledger.Head, error) { return readHead(ctx, s.readers) }

func readHead(ctx context.Context, from queryer) (head ledger.Head, err error) {
	return scanHead(from.QueryRowContext(ctx, "SELECT last, sha256 FROM chain ORDER BY last DESC LIMIT 1"))
}

// HashAt returns the hash of the log up to an entry. ledger.ErrNotFound says that no
// commit ended with it, or that it was pruned.
func (s *Store) HashAt(ctx context.Context, sequence int64) ([32]byte, error) {
	head, err := scanHead(s.readers.QueryRowContext(ctx, "SELECT last, sha256 FROM chain WHERE last = ?", sequence))
	if err == nil && head.Sequence != sequence {
		err = fmt.Errorf("hash at entry %d: %w", sequence, ledger.ErrNotFound)
	}
	return head.Hash, err
}

// scanHead reads a link; there may be none.
func scanHead(from *sql.Row) (head ledger.Head, err error) {
	var sum []byte
	err = from.Scan(&head.Sequence, &sum)
	if errors.Is(err, sql.ErrNoRows) {
		return ledger.Head{}, nil
	}
	if err != nil {
		return ledger.Head{}, fmt.Errorf("read chain: %w", plain(err))
	}
	if copy(head.Hash[:], sum) != len(head.Hash) || len(sum) != len(head.Hash) {
		return head, corrupt(head.Sequence, "its hash in the chain has %d bytes", len(sum))
	}
	return head, nil
}

// startOf returns the link to begin at in order to check the entries after a sequence
// number: the one before them, and at least one more than the last.
func startOf(ctx context.Context, from queryer, after int64) (ledger.Head, error) {
	var pruned int64
	if err := from.QueryRowContext(ctx, "SELECT coalesce(max(through), 0) FROM pruned").Scan(&pruned); err != nil {
		return ledger.Head{}, fmt.Errorf("read chain: %w", plain(err))
	}
	return scanHead(from.QueryRowContext(ctx, `SELECT last, sha256 FROM chain WHERE last = max(?,
		coalesce((SELECT max(last) FROM chain WHERE last < ?), 0))`, pruned, after))
}

// corrupt says which entry is not as it was written.
func corrupt(sequence int64, format string, arguments ...any) error {
	return fmt.Errorf("%w: entry %d: %s", ledger.ErrCorrupt, sequence, fmt.Sprintf(format, arguments...))
}
