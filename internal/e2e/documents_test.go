package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCaddyfilesInDocumentsAreValid takes every Caddyfile that a document of the
// repository shows, and asks Caddy whether it is formatted and can be adapted.
func TestCaddyfilesInDocumentsAreValid(t *testing.T) {
	fenced := regexp.MustCompile("(?s)\n```caddyfile\n(.*?)```")
	found := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() == "node_modules" {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range fenced.FindAllStringSubmatch(string(text), -1) {
			found++
			file := filepath.Join(t.TempDir(), "Caddyfile")
			if err := os.WriteFile(file, []byte(match[1]), 0o600); err != nil {
				return err
			}
			for _, command := range []string{"fmt --diff", "adapt --adapter caddyfile --config"} {
				arguments := append(strings.Fields(command), file)
				if out, err := exec.Command(binary, arguments...).CombinedOutput(); err != nil {
					t.Errorf("%s: caddy %s: %v\n%s\n%s", path, command, err, match[1], out)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Fatal("no Caddyfile found: the README has one")
	}
}
