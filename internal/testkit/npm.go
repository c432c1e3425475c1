package testkit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/penstockhq/penstock/internal/needs"
)

// NPM installs what package-lock.json of the test's folder pins into a folder of the
// user's cache, once for each lockfile, and returns it. name is that of the test's
// package. Without node, npm or a registry the test is skipped, or fails, as package
// needs says.
func NPM(t testing.TB, name string) string {
	t.Helper()
	needs.Program(t, "node")
	npm := needs.Program(t, "npm")
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	sum := sha256.Sum256(lock)
	folder := filepath.Join(cache, "penstock-"+name, hex.EncodeToString(sum[:8]))
	ready := filepath.Join(folder, "ready")
	if _, err := os.Stat(ready); err == nil {
		return folder
	}
	CopyFiles(t, folder, "package.json", "package-lock.json")
	command := exec.Command(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	command.Dir = folder
	if out, err := command.CombinedOutput(); err != nil {
		needs.Unavailable(t, "npm", fmt.Sprintf("npm ci: %v\n%s", err, out))
	}
	if err := os.WriteFile(ready, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// CopyFiles copies files of the test's folder into another one, which is made if it is
// not there.
func CopyFiles(t testing.TB, folder string, names ...string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
