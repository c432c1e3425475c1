package openapitest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
)

// adminKey is the key that the instance is configured with.
const adminKey = "correct horse battery staple"

// A document that is not valid, or says too little for a client to be generated from
// it, is found by redocly. What it says is true if a client that is generated from it
// and compiled gets along with a real instance.
func TestAClientIsGeneratedFromTheDocumentAndWorks(t *testing.T) {
	tools, folder := testkit.NPM(t, "openapitest"), t.TempDir()
	if err := os.Symlink(filepath.Join(tools, "node_modules"), filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	testkit.CopyFiles(t, folder, "package.json", "redocly.yaml", "tsconfig.json", "client.ts")
	address := startCaddy(t)
	document := get(t, address+"/admin/openapi.json")
	if err := os.WriteFile(filepath.Join(folder, "openapi.json"), document, 0o600); err != nil {
		t.Fatal(err)
	}
	lint := node(t, folder, nil, "@redocly/cli/bin/cli.js", "lint", "--config", "redocly.yaml", "--format", "json", "openapi.json")
	var found struct {
		Totals struct{ Errors, Warnings, Ignored int } `json:"totals"`
	}
	if err := json.Unmarshal(lint, &found); err != nil {
		t.Fatalf("%v: %s", err, lint)
	}
	if found.Totals.Errors+found.Totals.Warnings+found.Totals.Ignored > 0 {
		t.Errorf("redocly finds %+v: %s", found.Totals, lint)
	}
	node(t, folder, nil, "openapi-typescript/bin/cli.js", "openapi.json", "--output", "schema.d.ts")
	node(t, folder, nil, "typescript/bin/tsc", "--project", ".")
	settings, err := json.Marshal(map[string]string{"url": address, "key": adminKey})
	if err != nil {
		t.Fatal(err)
	}
	if said := node(t, folder, []string{"PENSTOCK_OPENAPITEST=" + string(settings)}, "../out/client.js"); len(said) == 0 {
		t.Error("the client said nothing")
	}
}

// A lint that finds nothing in a bad document would prove nothing.
func TestTheLintFindsWhatIsMissing(t *testing.T) {
	tools, folder := testkit.NPM(t, "openapitest"), t.TempDir()
	if err := os.Symlink(filepath.Join(tools, "node_modules"), filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	testkit.CopyFiles(t, folder, "redocly.yaml")
	const bad = `{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{"/a":{"get":{"responses":{"200":{"description":"ok"}}}}}}`
	if err := os.WriteFile(filepath.Join(folder, "openapi.json"), []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", filepath.Join(tools, "node_modules/@redocly/cli/bin/cli.js"), "lint", "--config", "redocly.yaml", "openapi.json")
	command.Dir = folder
	if out, err := command.CombinedOutput(); err == nil {
		t.Errorf("a document without servers, security, operation ids and refusals passes: %s", out)
	}
}

// node runs a script below node_modules in a folder and returns what it printed.
func node(t *testing.T, folder string, environment []string, script string, arguments ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "node", append([]string{filepath.Join(folder, "node_modules", script)}, arguments...)...)
	command.Dir = folder
	command.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true")
	command.Env = append(command.Env, environment...)
	var printed, problems bytes.Buffer
	command.Stdout, command.Stderr = &printed, &problems
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", script, err, printed.String(), problems.String())
	}
	return printed.Bytes()
}

// get returns the body of a page.
func get(t *testing.T, url string) []byte {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	return body
}

// startCaddy builds and runs a Caddy with the administration and returns its address.
func startCaddy(t *testing.T) string {
	t.Helper()
	address := testkit.FreeAddress(t)
	config := fmt.Sprintf(`{
	admin off
	persist_config off
	penstock {
		ledger sqlite %q
		admin_key_sha256 %x
		model tiny
		alerts
	}
}
http://%s {
	penstock_admin
}
`, filepath.Join(t.TempDir(), "data"), sha256.Sum256([]byte(adminKey)), address)
	testkit.RunCaddy(t, config, "http://"+address+"/admin/openapi.json")
	return "http://" + address
}
