package runtime

import (
	"errors"
	"os"
	"path/filepath"
)

// The files in a ledger's folder, beside the ledger itself.
const (
	// AdminKeyFile holds the text of the admin key that Bootstrap creates. The command line looks
	// for its key there.
	AdminKeyFile = "admin.key"
	// MemberKeyFile holds the text of the member's key that Bootstrap creates.
	MemberKeyFile = "demo.key"
	// CountersFile holds the limiter's counters while no process has the ledger open.
	CountersFile = "limits.state"
	// alertsFile says which alerts were sent.
	alertsFile = "alerts.json"
)

// replaceFile writes a file that only its owner can read, all or nothing.
func replaceFile(name string, write func(*os.File) error) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	err = errors.Join(write(file), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
