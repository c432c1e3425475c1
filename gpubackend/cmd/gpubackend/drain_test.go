package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// asProgram makes the test binary behave as the program itself.
const asProgram = "GPUBACKEND_TEST_AS_PROGRAM"

// program starts the program as a process of its own and returns its address.
func program(t *testing.T, arguments ...string) (*exec.Cmd, string, *bufio.Reader) {
	t.Helper()
	command := exec.Command(os.Args[0], append([]string{"-listen", "127.0.0.1:0", "-threads", "1"}, arguments...)...)
	command.Env = append(os.Environ(), asProgram+"=1")
	said, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	lines := bufio.NewReader(said)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if match := address.FindStringSubmatch(line); match != nil {
			return command, match[1], lines
		}
	}
}

// Callers whose answers take longer than the program may still take are told so,
// each of them, before the process is gone.
func TestAnswersCutShortByTheEndSaySo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGTERM on this system")
	}
	command, url, lines := program(t, "-drain", "20ms", "-slots", "32", "-queue", "200")
	const callers = 100
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var readers sync.WaitGroup
	for range callers {
		readers.Go(func() {
			reply, err := client.Post(url+"/v1/chat/completions", "application/json",
				strings.NewReader(`{"messages":[{"role":"user","content":"Hi"}],"stream":true,"max_tokens":900,"ignore_eos":true}`))
			if err != nil {
				t.Error(err)
				return
			}
			defer reply.Body.Close()
			text, err := io.ReadAll(reply.Body)
			if err != nil || !strings.Contains(string(text), `"error"`) && !strings.HasSuffix(string(text), "data: [DONE]\n\n") {
				t.Errorf("a caller was left with %d %v, %q", reply.StatusCode, err, text[max(0, len(text)-80):])
			}
		})
	}
	for accepted(t, client, url) < callers {
		time.Sleep(time.Millisecond)
	}
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	readers.Wait()
	rest, _ := io.ReadAll(lines)
	var exit *exec.ExitError
	if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(rest), "after 20ms") {
		t.Errorf("the program ended with %v and %s", err, rest)
	}
}

// accepted is the number of requests that the program has taken so far.
func accepted(t *testing.T, client *http.Client, url string) int {
	t.Helper()
	reply, err := client.Get(url + "/queue")
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	var load struct {
		Running  int `json:"running"`
		Waiting  int `json:"waiting"`
		Finished int `json:"requests_finished"`
	}
	if err := json.NewDecoder(reply.Body).Decode(&load); err != nil {
		t.Fatal(err)
	}
	return load.Running + load.Waiting + load.Finished
}
