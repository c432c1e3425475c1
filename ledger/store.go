package ledger

import (
	"context"
	"errors"
	"io"
	"time"
)

// Store keeps the log on a disk. All methods are safe for concurrent use.
type Store interface {
	// Append makes entries durable, all or none, and returns when they are. After
	// an error it is unknown whether they are; the ledger then never writes again.
	Append(ctx context.Context, entries []Entry) error
	// Replay calls use for the entries after a sequence number, in order. The entry
	// is only valid during the call. An error that wraps ErrCorrupt names an entry that
	// is not as it was written, or is missing; use may have been called before.
	Replay(ctx context.Context, after int64, use func(*Entry) error) error
	// Entries returns at most limit entries after a sequence number, in order.
	Entries(ctx context.Context, after int64, limit int) ([]Entry, error)
	// Since returns the sequence number of the last entry before a moment, 0 if
	// there is none.
	Since(ctx context.Context, moment time.Time) (int64, error)

	// SaveSnapshot keeps a state, durable and whole or not at all. Two ordinary
	// snapshots are kept and one baseline.
	SaveSnapshot(ctx context.Context, snapshot Snapshot) error
	// Snapshots lists what snapshots there are, newest first.
	Snapshots(ctx context.Context) ([]SnapshotInfo, error)
	// ReadSnapshot gives a snapshot to use. An error that wraps ErrSnapshotDamaged
	// says that its bytes are not those that were written, whatever use made of them.
	ReadSnapshot(ctx context.Context, sequence int64, use func(io.Reader) error) error
	// ClosedUsage returns the usage rows that came with snapshots.
	ClosedUsage(ctx context.Context, query UsageQuery) ([]UsageRow, error)
	// Prune removes the entries up to a sequence number for good.
	Prune(ctx context.Context, through int64) error

	// Head returns the hash over all that was ever appended.
	Head(ctx context.Context) (Head, error)
	// Check looks at everything that Replay does not read: snapshots, what is left of
	// pruned days, and the structure of the store itself. An error that wraps
	// ErrCorrupt says what is not as it was written.
	Check(ctx context.Context) error

	// InPlace returns nil if what the store writes is what the next process to open it
	// will read. An error that wraps ErrReplaced says that it is not.
	InPlace() error
	// Room returns how many bytes the store can still grow.
	Room() (int64, error)
	// Close gives the store back. It writes nothing but what SQLite-like stores
	// write to tidy up.
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
	// Baseline marks the state that the log starts from after pruning.
	Baseline bool
	// Closed are the usage rows of days that are over. They are no part of the state.
	Closed []UsageRow
	Encode func(io.Writer) error
}

// SnapshotInfo describes a snapshot that is kept.
type SnapshotInfo struct {
	Sequence int64
	Baseline bool
	Hash     [32]byte // SHA-256 of what Encode wrote
}

// ErrLocked says that another process has the ledger open. A store that only one
// process can have open returns it, wrapped, from what opens it.
var ErrLocked = errors.New("another process has the ledger open")

// ErrReplaced says that the file of a ledger in use was deleted or replaced: whatever
// is written goes where nobody will find it.
var ErrReplaced = errors.New("ledger file was deleted or replaced while in use")

// ErrSnapshotDamaged says that a snapshot does not have the bytes that were written.
var ErrSnapshotDamaged = errors.New("snapshot is damaged")
