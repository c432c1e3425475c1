//go:build !windows

package console

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/penstockhq/penstock/internal/needs"
)

func TestWhatRootMakesBelongsToTheServicesUser(t *testing.T) {
	if os.Geteuid() != 0 {
		needs.Unavailable(t, "root", "only root can make files for others")
	}
	const user, group = 12345, 12346
	s := newTerminal(t)
	if err := os.Mkdir(s.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(s.data, user, group); err != nil {
		t.Fatal(err)
	}
	s.must("keys", "create", "--admin")
	files, err := os.ReadDir(s.data)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if facts := info.Sys().(*syscall.Stat_t); facts.Uid != user || facts.Gid != group {
			t.Errorf("%s belongs to %d:%d", file.Name(), facts.Uid, facts.Gid)
		}
	}
}

func TestALinkInTheDirectoryOfAServiceGivesNothingAway(t *testing.T) {
	if os.Geteuid() != 0 {
		needs.Unavailable(t, "root", "only root can make files for others")
	}
	folder := t.TempDir()
	precious := filepath.Join(folder, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(folder, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(data, "ledger.db")
	for _, err := range []error{os.Link(precious, file), os.Symlink(precious, file+"-wal"), os.Chown(data, 12345, 12346)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := giveToOwner(file); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(precious)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
		t.Errorf("root's file belongs to %d now", owner)
	}
}
