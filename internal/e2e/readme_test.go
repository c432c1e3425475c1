//go:build readme

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
)

// block is a fenced block of the README.
type block struct{ language, text string }

// tryItBlocks returns the fenced blocks of the README's section "Try it".
func tryItBlocks(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Try it\n")
	if !found {
		t.Fatal("the README has no section \"Try it\"")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var blocks []block
	for _, match := range regexp.MustCompile("(?s)\n```([a-z]+)\n(.*?)```").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, block{match[1], match[2]})
	}
	return blocks
}

// shape replaces what differs from run to run: numbers, keys, ids, and the words
// of an answer.
func shape(text string) string {
	text = regexp.MustCompile(`"(text|content|id|request_id|key|hint|created_at|credits)": ?"[^"]*"`).ReplaceAllString(text, `"$1":"…"`)
	text = regexp.MustCompile(`[0-9]+`).ReplaceAllString(text, "0")
	text = regexp.MustCompile(`(?m)^date:.*$`).ReplaceAllString(text, "")
	return strings.Join(strings.Fields(text), " ")
}

// TestReadmeRunsAsPrinted types the commands of the section "Try it" on the
// ports that it names and compares what they print with what it shows.
func TestReadmeRunsAsPrinted(t *testing.T) {
	blocks := tryItBlocks(t)
	if len(blocks) < 4 || !strings.Contains(blocks[0].text, "caddy run --config Caddyfile.example") {
		t.Fatal("the section does not begin with the command that starts everything")
	}
	if response, err := http.Get("http://localhost:8080/"); err == nil {
		response.Body.Close()
		t.Fatal("another program listens on port 8080")
	}
	if err := os.RemoveAll("../../penstock-data"); err != nil {
		t.Fatal(err)
	}
	server := exec.Command("bash", "-c", "exec "+blocks[0].text)
	server.Dir = "../.."
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log := &testkit.Buffer{}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		syscall.Kill(-server.Process.Pid, syscall.SIGINT)
		server.Wait()
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	}()
	waitForFile(t, "../../penstock-data/demo.key") // the last thing that the first start does

	// One shell runs all blocks, so that a variable set in one is there in the next.
	script, expected := "set -u\n", []string{}
	for n, block := range blocks[1:] {
		if block.language != "sh" || strings.Contains(block.text, "go test") {
			continue
		}
		want := ""
		if next := blocks[1:]; n+1 < len(next) && next[n+1].language != "sh" {
			want = next[n+1].text
		}
		script += block.text + "\nprintf '\\n\\x1e'\n"
		expected = append(expected, want)
	}
	shell := exec.Command("bash", "-c", script)
	shell.Dir = "../.."
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	printed := strings.Split(string(out), "\x1e")
	for n, want := range expected {
		if shape(printed[n]) != shape(want) {
			t.Errorf("block %d printed\n%s\nthe README shows\n%s", n+1, printed[n], want)
		}
	}
}

func waitForFile(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s is not written", path)
}
