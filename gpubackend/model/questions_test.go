package model

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const refusal = "off-topic" // name of the entry whose answer is the refusal

// entry is one answer of the question files with its questions.
type entry struct {
	name, answer string
	seen         []string // used for training
	kept         []string // never used for training
}

// pair is a question and the answer that is expected to it, word for word.
type pair struct{ question, answer string }

// readEntries reads the question files as the trainer does. Questions written
// with frames are spelled out.
func readEntries(t *testing.T) []entry {
	t.Helper()
	frames := make(map[string][]string)
	for _, line := range readLines(t, "questions/templates.txt") {
		kind, rest, _ := strings.Cut(line, ":")
		frames[kind] = splitBar(rest)
	}
	files, err := filepath.Glob("questions/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	for _, path := range files {
		if name := filepath.Base(path); name == "templates.txt" || name == "offtopic_kept.txt" {
			continue
		}
		for _, line := range readLines(t, path) {
			field, value, _ := strings.Cut(line, ":")
			value = strings.TrimSpace(value)
			if field == "id" {
				entries = append(entries, entry{name: value})
				continue
			}
			last := &entries[len(entries)-1]
			switch field {
			case "answer":
				last.answer = value
			case "ask":
				last.seen = append(last.seen, splitBar(value)...)
			case "kept":
				last.kept = append(last.kept, splitBar(value)...)
			default:
				if frames[field] == nil {
					t.Fatalf("%s: unknown field %q", path, field)
				}
				for _, slot := range splitBar(value) {
					for _, frame := range frames[field] {
						last.seen = append(last.seen, fill(frame, slot))
					}
				}
			}
		}
	}
	return entries
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var lines []string
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20) // the off-topic lists are long lines
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return lines
}

func splitBar(text string) []string {
	var parts []string
	for part := range strings.SplitSeq(text, "|") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func fill(frame, slot string) string {
	text := strings.ReplaceAll(frame, "{}", slot)
	if strings.HasPrefix(frame, "{}") {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}

// plain reduces a question to its letters and digits.
func plain(question string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(question), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}), " ")
}

func TestKeptQuestionsAreNotTrained(t *testing.T) {
	entries := readEntries(t)
	trained := make(map[string]string)
	for _, e := range entries {
		for _, question := range e.seen {
			trained[plain(question)] = e.name
		}
	}
	kept := readLines(t, "questions/offtopic_kept.txt")
	for _, e := range entries {
		kept = append(kept, e.kept...)
	}
	for _, question := range kept {
		if owner, found := trained[plain(question)]; found {
			t.Errorf("kept question %q is also trained, in %s", question, owner)
		}
	}
}

func TestEveryEntryHasAnAnswerAndQuestionsOfBothKinds(t *testing.T) {
	entries := readEntries(t)
	var names []string
	for _, e := range entries {
		names = append(names, e.name)
		if e.answer == "" || len(e.seen) < 8 || (len(e.kept) < 2 && e.name != refusal) {
			t.Errorf("%s: answer %q, %d questions to train, %d kept; want an answer, at least 8 and at least 2",
				e.name, e.answer, len(e.seen), len(e.kept))
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(entries) {
		t.Error("two entries have one name")
	}
}
