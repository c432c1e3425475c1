package ledger

import (
	"context"
	"time"
)

// Store keeps the log on a disk. All methods are safe for concurrent use.
type Store interface {
	// Append makes entries durable, all or none, and returns when they are. After
	// an error it is unknown whether they are; the ledger then never writes again.
	Append(ctx context.Context, entries []Entry) error
	// Replay calls use for the entries after a sequence number, in order. The entry
	// is only valid during the call.
	Replay(ctx context.Context, after int64, use func(*Entry) error) error
	// Entries returns at most limit entries after a sequence number, in order.
	Entries(ctx context.Context, after int64, limit int) ([]Entry, error)
	// Since returns the sequence number of the last entry before a moment, 0 if
	// there is none.
	Since(ctx context.Context, moment time.Time) (int64, error)

	// Room returns how many bytes the store can still grow.
	Room() (int64, error)
	// Close gives the store back. It writes nothing but what SQLite-like stores
	// write to tidy up.
	Close() error
}
