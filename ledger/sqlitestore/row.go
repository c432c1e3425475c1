package sqlitestore

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
)

// columns are those of the table entry. What is written, what is read and what is
// hashed all follow this list, so that a new column at its end is part of all three.
// The position of a column is part of the hashes: none ever moves.
var columns = [...]string{
	"seq", "at", "kind", "account", "key_id", "model", "request_id", "reference", "hold",
	"input_tokens", "cached_tokens", "output_tokens", "duration_us", "amount", "balance", "price_version",
	"usage", "outcome", "detail", "checksum",
}

// The positions of columns.
const (
	columnSequence = iota
	columnAt
	columnKind
	columnAccount
	columnKeyID
	columnModel
	columnRequestID
	columnReference
	columnHold
	columnInputTokens
	columnCachedTokens
	columnOutputTokens
	columnDuration
	columnAmount
	columnBalance
	columnPriceVersion
	columnUsage
	columnOutcome
	columnDetail
	columnChecksum
)

// row is an entry as SQLite has it: NULL, a number or a text in each column.
type row [len(columns)]any

// set makes r the row of an entry, still without its checksum. Zero values become NULL,
// which SQLite stores in no space at all.
func (r *row) set(e *ledger.Entry) {
	*r = row{
		columnSequence: e.Sequence, columnAt: e.At.UnixMicro(), columnKind: e.Kind.String(),
		columnAccount: text(e.Account), columnKeyID: text(e.KeyID), columnModel: text(e.Model),
		columnRequestID: text(e.RequestID), columnReference: text(e.Reference), columnHold: number(int64(e.Hold)),
		columnInputTokens: number(e.Quantity.InputTokens), columnCachedTokens: number(e.Quantity.CachedTokens),
		columnOutputTokens: number(e.Quantity.OutputTokens), columnDuration: number(e.Quantity.Duration.Microseconds()),
		columnAmount: number(int64(e.Amount)), columnPriceVersion: number(e.PriceVersion),
	}
	if e.Account != "" {
		r[columnBalance] = int64(e.Balance)
	}
	switch e.Kind {
	case ledger.KindSettle, ledger.KindVoid, ledger.KindCheckpoint:
		r[columnUsage], r[columnOutcome] = e.Usage.String(), e.Outcome.String()
	}
	if len(e.Detail) > 0 {
		r[columnDetail] = string(e.Detail)
	}
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func number(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// body appends the bytes of all columns but the checksum.
func (r *row) body(to []byte) []byte {
	for column, value := range r {
		if column != columnChecksum {
			to = appendValue(to, column, value)
		}
	}
	return to
}

// finish appends the checksum to the bytes of the other columns. What it returns is
// hashed: two rows that differ have different bytes, and no row is the start of another.
func (r *row) finish(body []byte) []byte {
	return append(appendValue(body, columnChecksum, r[columnChecksum]), 0)
}

// checksum is what the column checksum has, from the bytes of the others. It names the
// entry that was changed, where the hash of a commit only tells that one was.
func checksum(body []byte) int64 {
	return int64(int32(crc32.Checksum(body, castagnoli))) // SQLite stores 32 bits with a sign in 4 bytes
}

// appendValue appends a value with the position of its column and its type. NULL is
// left out, so that a column that comes later does not change older rows.
func appendValue(to []byte, column int, value any) []byte {
	if value == nil {
		return to
	}
	to = append(to, byte(column+1))
	switch value := value.(type) {
	case int64:
		return binary.BigEndian.AppendUint64(append(to, 'i'), uint64(value))
	case string:
		return append(binary.BigEndian.AppendUint32(append(to, 't'), uint32(len(value))), value...)
	case []byte:
		return append(binary.BigEndian.AppendUint32(append(to, 'b'), uint32(len(value))), value...)
	default:
		return append(to, '?') // a number with a fraction: nothing that is written looks like it
	}
}

// entry returns the entry of a row. A value of another type is an error that wraps
// ledger.ErrCorrupt and names the entry and the column.
func (r *row) entry() (*ledger.Entry, error) {
	p := rowParser{row: r}
	e := &ledger.Entry{
		Sequence: p.number(columnSequence), At: time.UnixMicro(p.number(columnAt)).UTC(),
		Account: p.text(columnAccount), KeyID: p.text(columnKeyID), Model: p.text(columnModel),
		RequestID: p.text(columnRequestID), Reference: p.text(columnReference), Hold: ledger.HoldID(p.number(columnHold)),
		Quantity: ledger.Quantity{
			InputTokens: p.number(columnInputTokens), CachedTokens: p.number(columnCachedTokens),
			OutputTokens: p.number(columnOutputTokens), Duration: time.Duration(p.number(columnDuration)) * time.Microsecond,
		},
		Amount: ledger.Micro(p.number(columnAmount)), Balance: ledger.Micro(p.number(columnBalance)),
		PriceVersion: p.number(columnPriceVersion),
		Usage:        ledger.ParseUsageSource(p.text(columnUsage)), Outcome: ledger.ParseOutcome(p.text(columnOutcome)),
	}
	if detail := p.text(columnDetail); detail != "" {
		e.Detail = []byte(detail)
	}
	kind, err := ledger.ParseKind(p.text(columnKind))
	if err != nil && p.err == nil {
		p.err = corrupt(e.Sequence, "column kind: %v", err)
	}
	e.Kind = kind
	return e, p.err
}

// rowParser reads the values of a row. The first error sticks.
type rowParser struct {
	*row
	err error
}

func (p *rowParser) number(column int) int64 {
	number, ok := p.row[column].(int64)
	p.check(column, ok, "a whole number")
	return number
}

func (p *rowParser) text(column int) string {
	text, ok := p.row[column].(string)
	p.check(column, ok, "a text")
	return text
}

func (p *rowParser) check(column int, ok bool, want string) {
	if ok || p.row[column] == nil || p.err != nil {
		return
	}
	sequence, _ := p.row[columnSequence].(int64)
	p.err = corrupt(sequence, "column %s is not %s", columns[column], want)
}

// columnList is the columns as SQL lists them.
var columnList = strings.Join(columns[:], ", ")
