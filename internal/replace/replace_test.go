package replace

import (
	"errors"
	"os"
	"path/filepath"
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
