package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// FuzzAdapt puts damaged Caddyfiles through the parsers: they may refuse, with a
// line, but not panic, and what they accept must be valid configuration.
func FuzzAdapt(f *testing.F) {
	files, err := filepath.Glob("testdata/adapt/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for one := range strings.SplitSeq(string(content), nextCase) {
			config, _, _ := strings.Cut(one, divider)
			f.Add(config)
		}
	}
	f.Fuzz(func(t *testing.T, config string) {
		if strings.Contains(config, "import") || strings.Contains(config, "file") {
			t.Skip("would read files")
		}
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": "Caddyfile"})
		if err == nil && len(adapted) == 0 {
			t.Error("neither a configuration nor an error")
		}
	})
}
