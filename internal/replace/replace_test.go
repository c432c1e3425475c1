package replace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestAFileIsReplacedAsAWholeOrNotAtAll(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	write := func(text string, failure error) error {
		return File(name, func(file *os.File) error {
			_, err := file.WriteString(text)
			return errors.Join(err, failure)
		})
	}
	check := func(want string) {
		t.Helper()
		if text, err := os.ReadFile(name); err != nil || string(text) != want {
			t.Errorf("the file says %q, %v, want %q", text, err, want)
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
			t.Errorf("the file is %v, %v", info, err)
		}
		if files, err := os.ReadDir(filepath.Dir(name)); err != nil || len(files) != 1 {
			t.Errorf("beside the file there are %v, %v", files, err)
		}
	}
	if err := write("first", nil); err != nil {
		t.Fatal(err)
	}
	check("first")
	full := errors.New("no space")
	if err := write("half", full); !errors.Is(err, full) {
		t.Errorf("a write that fails gives %v", err)
	}
	check("first")
	if err := write("second", nil); err != nil {
		t.Fatal(err)
	}
	check("second")
}

func TestADirectoryThatIsNotThereCannotBeSynced(t *testing.T) {
	if err := SyncDirectory(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := SyncDirectory(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) && runtime.GOOS != "windows" {
		t.Errorf("a missing directory gives %v", err)
	}
}
