//go:build linux

package load

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/penstockhq/penstock/internal/testkit"
)

// binary is the path of the program under test, built when the first benchmark
// needs it.
var binary string

func TestMain(m *testing.M) {
	code := m.Run()
	if binary != "" {
		os.RemoveAll(filepath.Dir(binary))
	}
	os.Exit(code)
}

func build(b *testing.B) {
	b.Helper()
	if binary != "" {
		return
	}
	directory, err := os.MkdirTemp("", "penstock-load")
	if err != nil {
		b.Fatal(err)
	}
	binary = filepath.Join(directory, "caddy")
	command := exec.Command("go", "build", "-o", binary, "../../caddymodule/caddy")
	if out, err := command.CombinedOutput(); err != nil {
		b.Fatalf("building the binary: %v\n%s", err, out)
	}
}

// gateway is a running process of the binary.
type gateway struct {
	address string   // host:port
	keys    []string // of members, none without a gate
	process *os.Process
}

// start runs a Caddyfile in a process of its own on the first core. home is its
// working directory, site the text of the one site; global goes into the global
// options.
func start(b *testing.B, home, global, site string) *gateway {
	b.Helper()
	build(b)
	address := testkit.FreeAddress(b)
	config := filepath.Join(home, "Caddyfile")
	text := fmt.Sprintf("{\n\tadmin off\n\tlog {\n\t\tlevel ERROR\n\t}\n%s\n}\nhttp://%s {\n%s\n}\n", global, address, site)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	command := exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	command.Dir = home
	command.Env = append(os.Environ(), "GOMAXPROCS=1", "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
	var log bytes.Buffer
	command.Stdout, command.Stderr = &log, &log
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if b.Failed() {
			b.Log(log.String())
		}
	})
	pin(b, command.Process.Pid, 0)
	g := &gateway{address: address, process: command.Process}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if response, err := http.Get("http://" + address + "/v1/models"); err == nil {
			response.Body.Close()
			return g
		}
	}
	b.Fatal("the gateway does not answer")
	return nil
}

// used returns the processor time that the gateway has used.
func (g *gateway) used(b *testing.B) time.Duration {
	// The clock of another process, as clock_getcpuclockid(3) makes it.
	clock := int32(^g.process.Pid)<<3 | 2
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		b.Fatalf("the gateway's processor time: %v", err)
	}
	return time.Duration(now.Nano())
}

// memory returns the bytes of memory that the gateway has in use.
func (g *gateway) memory(b *testing.B) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	var size, resident float64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		b.Fatal(err)
	}
	return resident * float64(os.Getpagesize())
}

// pin binds all threads of a process to one core.
func pin(b *testing.B, pid, core int) {
	b.Helper()
	if runtime.NumCPU() < 2 {
		b.Skip("needs two cores: one for the gateway, one for everything else")
	}
	var cores unix.CPUSet
	cores.Set(core)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, thread := range threads {
		var id int
		if _, err := fmt.Sscan(thread.Name(), &id); err != nil {
			b.Fatal(err)
		}
		if err := unix.SchedSetaffinity(id, &cores); err != nil {
			b.Fatalf("binding thread %d to core %d: %v", id, core, err)
		}
	}
}
