package arrows

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

const (
	maxFolder   = 24  // source files in one folder
	maxFile     = 400 // lines
	maxFunction = 60  // lines
)

func TestFoldersFilesAndFunctionsStaySmall(t *testing.T) {
	folders := map[string]int{}
	everyFile(t, ".go", func(path, text string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		folders[filepath.Dir(path)]++
		if lines := strings.Count(text, "\n"); lines > maxFile {
			t.Errorf("%s has %d lines", path, lines)
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok {
				if lines := files.Position(function.End()).Line - files.Position(function.Pos()).Line + 1; lines > maxFunction {
					t.Errorf("%s: the function %s has %d lines", path, function.Name, lines)
				}
			}
		}
	})
	for folder, files := range folders {
		if files > maxFolder {
			t.Errorf("%s has %d source files: it has two jobs, or files that are one", folder, files)
		}
	}
}

// A comment opens each package, and stands where a reader looks for it.
func TestEveryPackageIsExplainedAtItsDoor(t *testing.T) {
	opened, front := map[string]string{}, map[string]bool{}
	everyFile(t, ".go", func(path, text string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		folder := filepath.Dir(path)
		front[folder] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), path, text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Doc == nil {
			return
		}
		if other := opened[folder]; other != "" {
			t.Errorf("%s and %s both explain their package", other, path)
		}
		opened[folder] = path
	})
	for folder := range front {
		if opened[folder] == "" {
			t.Errorf("nothing explains the package in %s", folder)
		}
	}
}
