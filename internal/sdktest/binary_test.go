package sdktest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

// TestOfficialClientsInFrontOfTheBinary runs them against the built Caddy.
func TestOfficialClientsInFrontOfTheBinary(t *testing.T) {
	folder := install(t)
	server := httptest.NewServer(http.HandlerFunc(upstream))
	defer server.Close()
	data := t.TempDir()
	store, err := sqlitestore.Open(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	book, err := ledger.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	made := keys(t, book)
	if err := book.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, runClients(t, folder, startCaddy(t, data, server.Listener.Addr().String()), made))
}

// startCaddy builds and runs the binary and returns the gateway's address.
func startCaddy(t *testing.T, data, upstream string) string {
	t.Helper()
	folder := t.TempDir()
	binary := filepath.Join(folder, "caddy.exe")
	build := exec.Command("go", "build", "-o", binary, "github.com/penstockhq/penstock/caddymodule/caddy")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := testkit.FreeAddress(t)
	var config strings.Builder
	fmt.Fprintf(&config, "{\n\tadmin off\n\tpersist_config off\n\tpenstock {\n\t\tledger sqlite %q\n", data)
	for _, name := range models {
		price := ""
		if name == "slow" {
			price = fmt.Sprintf(" {\n\t\t\tprice output %d\n\t\t}", slowPrice)
		}
		fmt.Fprintf(&config, "\t\tmodel %s%s\n", name, price)
	}
	fmt.Fprintf(&config, "\t}\n}\nhttp://%s {\n\tpenstock_proxy %s {\n\t\tgate {\n\t\t\tmax_body 1MiB\n\t\t}\n\t}\n}\n", address, upstream)
	file := filepath.Join(folder, "Caddyfile")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary, "run", "--config", file, "--adapter", "caddyfile")
	var log bytes.Buffer
	command.Stderr = &log
	command.Env = append(os.Environ(), "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder, "HOME="+folder)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		command.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		command.Process.Kill()
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
		if response, err := http.Get("http://" + address + "/v1/models"); err == nil {
			response.Body.Close()
			return "http://" + address
		}
	}
	t.Fatal("caddy does not answer")
	return ""
}
