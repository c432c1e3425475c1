package ledger

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store keeps the log durable. All methods must be safe for concurrent use. The package
// storetest tests an implementation.
type Store interface {
	// Append makes entries durable, all or none, and returns when they are. After an
	// error it is unknown whether they are durable, and the ledger never writes again.
	Append(ctx context.Context, entries []Entry) error
	// Replay calls use for the entries after a sequence number, in order. The entry
	// is only valid during the call. An error that wraps ErrCorrupt names an entry that
	// is not as it was written, or is missing; use may have been called before.
	Replay(ctx context.Context, after int64, use func(*Entry) error) error
	// Entries returns at most limit entries after a sequence number, in order.
	Entries(ctx context.Context, after int64, limit int) ([]Entry, error)
	// Since returns the sequence number of the last entry before a moment, or 0 if there
	// is none.
	Since(ctx context.Context, moment time.Time) (int64, error)

	// SaveSnapshot makes a snapshot durable, as a whole or not at all. The store keeps
	// the two newest ordinary snapshots and the newest baseline.
	SaveSnapshot(ctx context.Context, snapshot Snapshot) error
	// Snapshots lists the snapshots, newest first.
	Snapshots(ctx context.Context) ([]SnapshotInfo, error)
	// ReadSnapshot calls use with the bytes of a snapshot. The error wraps
	// ErrSnapshotDamaged if they are not the bytes that were written, even if use
	// returned nil.
	ReadSnapshot(ctx context.Context, sequence int64, use func(io.Reader) error) error
	// ClosedUsage returns the usage rows that came with snapshots.
	ClosedUsage(ctx context.Context, query UsageQuery) ([]UsageRow, error)
	// Prune removes the entries up to and including a sequence number.
	Prune(ctx context.Context, through int64) error

	// Head returns the hash over all that was ever appended.
	Head(ctx context.Context) (Head, error)
	// Check looks at everything that Replay does not read: snapshots, what is left of
	// pruned days, and the structure of the store itself. An error that wraps
	// ErrCorrupt says what is not as it was written.
	Check(ctx context.Context) error

	// Rescue writes what the store holds to a new file, also if its own was deleted or
	// replaced, and verifies it.
	Rescue(ctx context.Context, file string) (Report, error)
	// Begin makes a new file whose log starts from a baseline, and verifies it.
	Begin(ctx context.Context, file string, baseline Snapshot) (Report, error)
	// InPlace returns nil if what the store writes is what the next process to open it
	// will read. An error that wraps ErrReplaced says that it is not.
	InPlace() error
	// Room returns how many bytes the store can still grow.
	Room() (int64, error)
	// Close releases the store. It appends no entries.
	Close() error
}

// Head identifies a log up to an entry: two logs with the same head have the same
// entries. Whoever keeps it elsewhere can prove that nothing was changed since.
type Head struct {
	Sequence int64    // of the last entry; 0: there is none
	Hash     [32]byte // SHA-256 over the last commit and the hash before it
}

// Snapshot is the state after an entry.
type Snapshot struct {
	Sequence int64
	// Baseline marks the state from which the log starts after pruning.
	Baseline bool
	// Closed are the usage rows of days that are over. They are not part of Encode.
	Closed []UsageRow
	Encode func(io.Writer) error
}

// SnapshotInfo describes a snapshot in a store.
type SnapshotInfo struct {
	Sequence int64
	Baseline bool
	Hash     [32]byte // SHA-256 of what Encode wrote
}

// ErrLocked says that another process has the ledger open. Functions that open a store,
// such as sqlitestore.Open, return it.
var ErrLocked = errors.New("another process has the ledger open")

// ErrReplaced says that the file of a ledger in use was deleted or replaced: whatever
// is written goes where nobody will find it.
var ErrReplaced = errors.New("ledger file was deleted or replaced while in use")

// ErrSnapshotDamaged says that a snapshot does not have the bytes that were written.
var ErrSnapshotDamaged = errors.New("snapshot is damaged")
