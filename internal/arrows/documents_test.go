package arrows

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// everyFile calls use for each file of the repository with an ending, except in
// folders that tools fill.
func everyFile(t *testing.T, ending string, use func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || name == "node_modules" || name == "dist"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ending):
			return nil
		}
		text, err := os.ReadFile(path)
		use(path, string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// anchor returns the name under which a heading can be linked to, as GitHub
// makes it.
func anchor(heading string) string {
	heading = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(heading), " ", "-"))
	return regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(heading, "")
}

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	links := 0
	everyFile(t, ".md", func(path, text string) {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, fragment := match[1], strings.TrimPrefix(match[2], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which is not there", path, match[0])
				continue
			}
			if fragment == "" {
				continue
			}
			linked, _ := os.ReadFile(file)
			found := false
			for _, match := range heading.FindAllStringSubmatch(string(linked), -1) {
				found = found || anchor(match[1]) == fragment
			}
			if !found {
				t.Errorf("%s links to %s, which has no such heading", path, match[0])
			}
		}
	})
	if links == 0 {
		t.Fatal("no links found: the README has some")
	}
}

func TestTheDesignNamesTestsThatExist(t *testing.T) {
	tests := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	everyFile(t, "_test.go", func(_, text string) {
		for _, match := range declaration.FindAllStringSubmatch(text, -1) {
			tests[match[1]] = true
		}
	})
	named := 0
	for _, document := range []string{"../../docs/design.md", "../../CONTRIBUTING.md"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(text), -1) {
			named++
			if !tests[match[1]] {
				t.Errorf("%s names %s, which does not exist", document, match[1])
			}
		}
	}
	if named == 0 {
		t.Fatal("no test is named: the invariants name them")
	}
}
