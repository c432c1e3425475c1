//go:build unix

package sqlitestore

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is the user, and the group, that permissions bind on every system.
const nobody = 65534

// runAsNobody runs the test that calls it once more, in a child process of a user
// whom permissions bind.
func runAsNobody(t *testing.T) {
	t.Helper()
	// The directories of t.TempDir and of the test binary are closed to others.
	directory, err := os.MkdirTemp("", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	if err := os.Chown(directory, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(directory, "sqlitestore.test")
	if err := copyTestBinary(binary); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary, "-test.v", "-test.run=^"+t.Name()+"$")
	command.Dir = directory
	command.Env = append(os.Environ(), "TMPDIR="+directory)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Fatalf("as user %d: %v\n%s", nobody, err, output)
	}
}

func copyTestBinary(path string) error {
	name, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close()
		return err
	}
	if err := to.Chown(nobody, nobody); err != nil {
		_ = to.Close()
		return err
	}
	return to.Close()
}
