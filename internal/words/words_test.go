// Package words keeps the English of the project plain: one word for one thing, and
// none that makes a reader stop.
package words

import (
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// instead says what to write for phrases that came from another language, or that
// have a plainer word. Words of one piece are in .golangci.yml, for misspell.
var instead = map[string]string{
	`can not`:                  "cannot",
	`for ever`:                 "forever",
	`un?packed (body|reply)`:   "uncompressed",
	`packed (body|reply)`:      "compressed",
	`before anybody`:           "before anyone",
	`comes near its end`:       "is close to its limit",
	`at the most`:              "at most",
	`needs not`:                "need not",
	`makes? place for`:         "makes room for",
	`unless (told|said) other`: "unless … says otherwise",
}

// folders that tools fill, or whose texts are data: what the bundled model was trained
// on must stay as it is.
var skipped = map[string]bool{".git": true, "node_modules": true, "dist": true, "questions": true, "testdata": true}

// texts returns what people read in a Go file: its comments and its strings.
func texts(path string, source []byte) (read []string, err error) {
	if _, err := parser.ParseFile(token.NewFileSet(), path, source, parser.PackageClauseOnly); err != nil {
		return nil, err
	}
	files := token.NewFileSet()
	var s scanner.Scanner
	s.Init(files.AddFile(path, files.Base(), len(source)), source, nil, scanner.ScanComments)
	var comment []string // lines that follow each other are one text
	for {
		_, kind, text := s.Scan()
		if kind == token.COMMENT {
			comment = append(comment, strings.TrimPrefix(text, "//"))
			continue
		}
		if len(comment) > 0 {
			read, comment = append(read, strings.Join(comment, "")), nil
		}
		switch kind {
		case token.EOF:
			return read, nil
		case token.STRING:
			read = append(read, text)
		}
	}
}

func TestTheEnglishIsPlain(t *testing.T) {
	patterns := map[*regexp.Regexp]string{}
	for phrase, word := range instead {
		patterns[regexp.MustCompile(`(?i)\b`+strings.ReplaceAll(phrase, " ", `\s+`)+`\b`)] = word
	}
	checked := 0
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped[entry.Name()]:
			return fs.SkipDir
		case entry.IsDir() || strings.HasPrefix(path, "../../internal/words/"):
			return nil
		}
		var read []string
		text, err := os.ReadFile(path)
		switch filepath.Ext(path) {
		case ".go":
			if err == nil {
				read, err = texts(path, text)
			}
		case ".md", ".caddyfile":
			read = []string{string(text)}
		}
		for _, text := range read {
			checked++
			for pattern, word := range patterns {
				if found := pattern.FindString(text); found != "" {
					t.Errorf("%s: %q: write %s", path, found, word)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 1000 {
		t.Fatalf("only %d texts were checked", checked)
	}
}
