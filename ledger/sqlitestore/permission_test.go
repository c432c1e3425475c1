package sqlitestore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFileThatMayNotBeWrittenIsNamed(t *testing.T) {
	if os.Geteuid() == 0 { // root may write everything
		runAsNobody(t)
		return
	}
	directory := t.TempDir()
	file := filepath.Join(directory, FileName)
	if err := os.WriteFile(file, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), directory); !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), file) {
		t.Errorf("error: %v", err)
	}
}
