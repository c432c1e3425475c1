// Package examples_test builds and runs the example programs.
package examples_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is a running example.
type program struct {
	address, key string
}

// run builds and starts an example and reads its key and its address from what
// it prints.
func run(t *testing.T, name string, arguments ...string) program {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name+".exe")
	if out, err := exec.Command("go", "build", "-o", binary, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	command := exec.Command(binary, append([]string{filepath.Join(t.TempDir(), "data"), "127.0.0.1:0"}, arguments...)...)
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	var started program
	lines := bufio.NewScanner(output)
	for started.address == "" && lines.Scan() {
		what, text, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "key":
			started.key = text
		case "listening":
			started.address = text
		}
	}
	if started.address == "" || started.key == "" {
		t.Fatalf("the program told %+v", started)
	}
	return started
}

func (p program) post(t *testing.T, path, key, body string) (int, string, http.Header) {
	t.Helper()
	request, err := http.NewRequest("POST", "http://"+p.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(text)), response.Header
}

func TestOwnHandler(t *testing.T) {
	p := run(t, "ownhandler")
	status, body, header := p.post(t, "/shout", p.key, `{"prompt":"what is a credit"}`)
	if status != 200 || body != `{"text":"WHAT IS A CREDIT"}` || header.Get("X-Penstock-Credits-Charged") == "" {
		t.Errorf("%d %s %v", status, body, header)
	}
	if status, body, _ := p.post(t, "/shout", "wrong", `{}`); status != 401 {
		t.Errorf("a wrong key: %d %s", status, body)
	}
	if status, body, _ := p.post(t, "/other", p.key, `{}`); status != 404 {
		t.Errorf("a path without a meter: %d %s", status, body)
	}
}

func TestReverseProxy(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the upstream sees the caller's key")
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"four"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`)
	}))
	p := run(t, "reverseproxy", upstream.URL)
	t.Cleanup(upstream.Close)
	status, body, _ := p.post(t, "/v1/chat/completions", p.key, `{"model":"any","messages":[{"role":"user","content":"2+2?"}]}`)
	var reply struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if json.Unmarshal([]byte(body), &reply) != nil || status != 200 || len(reply.Choices) != 1 || reply.Choices[0].Message.Content != "four" {
		t.Errorf("%d %s", status, body)
	}
	upstream.Close()
	if status, body, _ = p.post(t, "/v1/chat/completions", p.key, `{"model":"any","messages":[]}`); status != 502 || !strings.Contains(body, "upstream_failed") {
		t.Errorf("without an upstream: %d %s", status, body)
	}
}
