package testkit

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/needs"
)

// RunCaddy builds the binary, runs it with a Caddyfile until the test ends, and returns
// when it answers a request for the URL. Its log is shown if the test fails.
func RunCaddy(t testing.TB, caddyfile, url string) {
	t.Helper()
	needs.Program(t, "go")
	folder := t.TempDir()
	binary, config := filepath.Join(folder, "caddy.exe"), filepath.Join(folder, "Caddyfile")
	build := exec.Command("go", "build", "-o", binary, "github.com/penstockhq/penstock/caddymodule/caddy")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(config, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	var log Buffer
	command.Stderr = &log
	command.Env = append(os.Environ(), "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder, "HOME="+folder)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-done
		if t.Failed() {
			t.Logf("caddy: %s", log.String())
		}
	})
	for range 600 {
		select {
		case <-done:
			t.Fatalf("caddy ended: %s", log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if response, err := http.Get(url); err == nil {
			response.Body.Close()
			return
		}
	}
	t.Fatal("caddy does not answer")
}
