// Package arrows proves that the packages depend on each other only downwards.
package arrows

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/penstockhq/penstock"

// dependencies returns the import paths that a package pattern links.
func dependencies(t *testing.T, pattern string) []string {
	t.Helper()
	command := exec.Command("go", "list", "-deps", pattern)
	command.Dir = "../.."
	command.Stderr = &strings.Builder{}
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v\n%s", pattern, err, command.Stderr)
	}
	return strings.Fields(string(out))
}

func TestArrowsPointDown(t *testing.T) {
	const caddy = "github.com/caddyserver/"
	for _, test := range []struct {
		pattern   string
		forbidden []string
	}{
		{"./limiter/...", []string{caddy, module + "/ledger", module + "/middleware", module + "/caddymodule", module + "/gpubackend", "net/http"}},
		{"./ledger/...", []string{caddy, module + "/limiter", module + "/middleware", module + "/caddymodule", module + "/gpubackend", "net/http"}},
		{"./alerts", []string{module + "/limiter", module + "/ledger", module + "/middleware", module + "/caddymodule", module + "/gpubackend"}},
		{"./middleware/...", []string{caddy, module + "/caddymodule", module + "/gpubackend"}},
		{"./examples/...", []string{caddy}},
		{"./gpubackend/...", []string{caddy, module + "/limiter", module + "/ledger", module + "/middleware", module + "/caddymodule"}},
		// What outlives a configuration knows no store, no command and no policy.
		{"./caddymodule/internal/runtime", []string{module + "/caddymodule/console", module + "/caddymodule/balance", "modernc.org/sqlite"}},
		{"./caddymodule/console", []string{module + "/caddymodule/balance"}},
		// The administration's web framework knows neither of its two APIs.
		{"./middleware/admin/internal/rest", []string{module + "/middleware/admin/aixplain", module + "/middleware/admin/internal/rules", module + "/alerts"}},
		// A program pays only for the store that it imports.
		{"./ledger", []string{"modernc.org/sqlite"}},
		{"./middleware", []string{"modernc.org/sqlite"}},
	} {
		t.Run(test.pattern, func(t *testing.T) {
			found := dependencies(t, test.pattern)
			if len(found) == 0 {
				t.Fatal("no packages: the pattern is wrong")
			}
			for _, dependency := range found {
				for _, prefix := range test.forbidden {
					if dependency == prefix || strings.HasPrefix(dependency, strings.TrimSuffix(prefix, "/")+"/") {
						t.Errorf("%s links %s", test.pattern, dependency)
					}
				}
			}
		})
	}
}
