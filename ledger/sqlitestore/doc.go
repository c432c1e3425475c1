// Package sqlitestore keeps a ledger on disk, in one SQLite file. It is the
// ledger.Store that Penstock uses: an append-only table of entries, and snapshots of
// the state so that a start need not read the whole log.
//
// Open makes the file, or opens it and brings its schema up to date. The ledger then
// owns the store and closes it:
//
//	store, err := sqlitestore.Open(ctx, "/var/lib/penstock") // the file is /var/lib/penstock/ledger.db
//	if err != nil {
//		return err
//	}
//	l, err := ledger.Open(ctx, store)
//	if err != nil {
//		return err
//	}
//	defer l.Close(ctx)
//
// Another process may read the file while the first one writes to it:
//
//	store, err := sqlitestore.OpenReader(ctx, "/var/lib/penstock")
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	report, err := ledger.Verify(ctx, store)
//
// So may any SQLite program: the views balances, usage_by_day and entries are made for
// people.
//
//	sqlite3 /var/lib/penstock/ledger.db 'SELECT account, balance FROM balances'
//
// # Caveats
//
// ONE PROCESS WRITES. Open takes a lock on the file ledger.db.lock; a second Open fails
// with ledger.ErrLocked. The system frees the lock when the process dies, so the lock
// file may stay and must not be removed while a process runs.
//
// Use a local disk. SQLite's write-ahead log needs shared memory and file locks, which
// network file systems do not provide reliably.
//
// Do not copy ledger.db alone while it is in use: the newest entries are in ledger.db-wal.
// Backup makes a copy that is whole, and verifies it.
//
// An entry is durable when Append returns: each batch is one commit with one sync. A disk
// that reports a sync before the data is safe breaks that promise.
//
// The file is readable by its owner only (mode 0600). It holds SHA-256 hashes of keys and
// never their text.
//
// A file that a newer version wrote is refused with ErrNewer and not changed. There is no
// way back to an older schema but a backup.
package sqlitestore
