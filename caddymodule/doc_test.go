package caddymodule

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Caddy makes a module's documentation page from these comments.
func TestEveryConfigurationFieldIsDocumented(t *testing.T) {
	fields := 0
	for _, directory := range []string{".", "balance"} {
		files, err := filepath.Glob(filepath.Join(directory, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(node ast.Node) bool {
				if _, isFunction := node.(*ast.FuncDecl); isFunction || strings.HasSuffix(file, "_test.go") {
					return false
				}
				structure, ok := node.(*ast.StructType)
				if !ok {
					return true
				}
				for _, field := range structure.Fields.List {
					if field.Tag == nil || !strings.Contains(field.Tag.Value, "json:") || strings.Contains(field.Tag.Value, `json:"-"`) {
						continue
					}
					fields++
					comment := field.Doc.Text()
					required := strings.Contains(field.Tag.Value, `:"address"`) || strings.Contains(field.Tag.Value, `:"max"`)
					if len(comment) < 20 || !required && !strings.Contains(comment, "Default:") {
						t.Errorf("%s: the field %s has no comment with its meaning and default: %q", file, field.Names[0], comment)
					}
				}
				return true
			})
		}
	}
	if fields < 30 {
		t.Errorf("only %d fields were found", fields)
	}
}

func TestModulesAreRegistered(t *testing.T) {
	for _, id := range []string{
		"penstock", "penstock.ledgers.sqlite", "http.handlers.penstock", "http.handlers.penstock_admin",
		"http.handlers.penstock_backend", "http.reverse_proxy.selection_policies.penstock",
		"caddy.logging.encoders.penstock_redact",
	} {
		module, err := caddy.GetModule(id)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := module.New().CaddyModule().ID; string(got) != id {
			t.Errorf("%s makes a module that calls itself %s", id, got)
		}
	}
}
