// Package e2e drives the built binary as a user would: Caddyfile.example, curl's
// requests, signals, and the files in the data directory.
package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
)

// binary is the path of the program under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) {
	directory, err := os.MkdirTemp("", "penstock-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(directory, "caddy")
	build := exec.Command("go", "build", "-o", binary, "./caddymodule/caddy")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(directory)
	os.Exit(code)
}

// instance is one running process of the binary.
type instance struct {
	t       *testing.T
	data    string // the ledger's directory
	config  string // path of the Caddyfile
	gateway string // host:port of the gateway
	admin   string // host:port of Caddy's own admin endpoint
	command *exec.Cmd
	exited  chan struct{}
	log     *testkit.Buffer
}

// exampleInstance prepares Caddyfile.example on free ports and an empty data
// directory, without starting it. edit may change the Caddyfile's text.
func exampleInstance(t *testing.T, edit func(string) string) *instance {
	t.Helper()
	text, err := os.ReadFile("../../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	addresses := testkit.FreeAddresses(t, 3)
	port := func(address string) string { return address[strings.LastIndex(address, ":")+1:] }
	config := strings.NewReplacer("8080", port(addresses[0]), "9100", port(addresses[1])).Replace(string(text))
	config = strings.Replace(config, "{\n", "{\n\tadmin "+addresses[2]+"\n", 1)
	if edit != nil {
		config = edit(config)
	}
	directory := t.TempDir()
	i := &instance{
		t:       t,
		data:    filepath.Join(directory, "penstock-data"),
		config:  filepath.Join(directory, "Caddyfile"),
		gateway: addresses[0],
		admin:   addresses[2],
	}
	i.writeConfig(config)
	return i
}

// lastLines returns the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (i *instance) writeConfig(text string) {
	i.t.Helper()
	if err := os.WriteFile(i.config, []byte(text), 0o644); err != nil {
		i.t.Fatal(err)
	}
}

// environment is that of every process of an instance.
func (i *instance) environment() []string {
	home := filepath.Dir(i.config)
	return append(os.Environ(), "PENSTOCK_DATA="+i.data, "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
}

// run runs a subcommand of the binary to its end.
func (i *instance) run(arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, binary, arguments...)
	command.Dir = filepath.Dir(i.config)
	command.Env = i.environment()
	out, err := command.CombinedOutput()
	return string(out), err
}

// start runs the instance and waits until the gateway answers and the demo keys
// are written.
func (i *instance) start() {
	i.t.Helper()
	i.begin()
	i.await()
}

// begin starts the instance and does not wait.
func (i *instance) begin() {
	i.t.Helper()
	i.log = &testkit.Buffer{}
	i.command = exec.Command(binary, "run", "--config", i.config, "--adapter", "caddyfile")
	i.command.Dir = filepath.Dir(i.config)
	i.command.Env = i.environment()
	i.command.Stdout, i.command.Stderr = i.log, i.log
	if err := i.command.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.exited = make(chan struct{})
	go func(command *exec.Cmd, exited chan struct{}) {
		command.Wait()
		close(exited)
	}(i.command, i.exited)
	i.t.Cleanup(func() {
		i.kill()
		if i.t.Failed() {
			i.t.Logf("end of the instance's log:\n%s", lastLines(i.log.String(), 10))
		}
	})
}

// await waits until the gateway answers and the demo keys are written.
func (i *instance) await() {
	i.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		select {
		case <-i.exited:
			i.t.Fatalf("the instance ended early:\n%s", i.log)
		case <-time.After(20 * time.Millisecond):
		}
		if _, err := os.Stat(filepath.Join(i.data, "demo.key")); err != nil {
			continue
		}
		if response, err := http.Get("http://" + i.gateway + "/v1/models"); err == nil {
			response.Body.Close()
			return
		}
	}
	i.t.Fatalf("the instance does not answer:\n%s", i.log)
}

// stop ends the instance as Ctrl-C does and waits for it.
func (i *instance) stop() {
	i.t.Helper()
	i.command.Process.Signal(os.Interrupt)
	select {
	case <-i.exited:
	case <-time.After(30 * time.Second):
		i.t.Fatalf("the instance does not stop:\n%s", i.log)
	}
}

// kill ends the instance as a crash does.
func (i *instance) kill() {
	i.command.Process.Signal(syscall.SIGKILL)
	<-i.exited
}

// key returns the text of one of the key files that the bootstrap wrote.
func (i *instance) key(name string) string {
	i.t.Helper()
	text, err := os.ReadFile(filepath.Join(i.data, name+".key"))
	if err != nil {
		i.t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// reply is an HTTP answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// call makes one request to the gateway with a key and waits for the whole answer.
func (i *instance) call(method, path, key, body string, headers ...string) reply {
	i.t.Helper()
	answer, err := i.try(method, path, key, body, headers...)
	if err != nil {
		i.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// try is call for requests that may fail, and for goroutines other than the test's.
func (i *instance) try(method, path, key, body string, headers ...string) (reply, error) {
	request, err := http.NewRequest(method, "http://"+i.gateway+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for n := 0; n+1 < len(headers); n += 2 {
		request.Header.Set(headers[n], headers[n+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(text)}, err
}
