package arrows

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The choice among upstreams is to be read, tested and added to without Caddy.
func TestOnlyTheAdapterOfTheBalancerKnowsCaddy(t *testing.T) {
	files, err := filepath.Glob("../../caddymodule/balance/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	adapters := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range parsed.Imports {
			if !strings.Contains(imported.Path.Value, "github.com/caddyserver/") {
				continue
			}
			adapters++
			if name := filepath.Base(file); name != "caddy.go" && name != "caddyfile.go" {
				t.Errorf("%s imports %s", file, imported.Path.Value)
			}
		}
	}
	if adapters == 0 {
		t.Error("no file imports Caddy: the test looks in the wrong place")
	}
}
