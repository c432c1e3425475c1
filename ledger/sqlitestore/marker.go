package sqlitestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/penstockhq/penstock/internal/replace"
)

// ErrLost says that there was a ledger, and that its file is empty or missing now. A
// new ledger in its place would know no key and no balance.
var ErrLost = errors.New("ledger is lost")

// markerText is what the marker says to whoever finds it.
const markerText = `A ledger was created beside this file. If ledger.db is empty or missing, restore it from
a backup. Penstock creates a new ledger only where this file is missing too.
`

// markerPath names the file that says that there is a ledger. It is written when the
// ledger's schema is durable, and never removed.
func markerPath(file string) string { return file + ".created" }

// refuseLoss returns an error that wraps ErrLost if a file should hold a ledger but is
// missing or empty. SQLite must not see such a file: it would take it for a new one
// and remove the write-ahead log, which may hold the newest charges.
func refuseLoss(file string) error {
	// What the ledger left is looked for first: another process that creates one right
	// now makes its file large before it leaves anything.
	evidence, err := evidenceOf(file)
	if err != nil || evidence == "" {
		return err
	}
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return lost(evidence, "the file is missing")
	case err == nil && info.Size() == 0:
		return lost(evidence, "the file is empty")
	}
	return err
}

// evidenceOf returns the name of a file that proves that there was a ledger, or "".
func evidenceOf(file string) (string, error) {
	for _, evidence := range []struct {
		path  string
		least int64 // bytes
	}{{markerPath(file), 0}, {file + "-wal", 1}} {
		info, err := os.Stat(evidence.path)
		if err == nil && info.Size() >= evidence.least {
			return evidence.path, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", nil
}

// lost says what happened to a ledger and what to do.
func lost(evidence, what string) error {
	return fmt.Errorf("%w: %s, but %s shows that there was a ledger: restore the file from a backup; "+
		"to start anew, without the keys and balances of before, move %[3]s away", ErrLost, what, evidence)
}

// refuseBlank returns an error that wraps ErrLost if a file without a schema should
// have one.
func (s *Store) refuseBlank(version int64) error {
	if version > 0 {
		return nil
	}
	marker := markerPath(s.path)
	if _, err := os.Stat(marker); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return lost(marker, "the file holds no tables")
}

// mark leaves the marker, durable, if there is none.
func (s *Store) mark() error {
	marker := markerPath(s.path)
	if _, err := os.Stat(marker); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return replace.File(marker, func(to *os.File) error {
		_, err := to.WriteString(markerText)
		return err
	})
}
