// Package arrows proves what the plan of the code promises: packages depend on each
// other only downwards, folders and files stay small, documents name what is there.
package arrows

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/penstockhq/penstock"

// allowed says which packages of the project each package may import itself, tests
// not counted. A new package or arrow is a line here, to be thought about.
var allowed = map[string]string{
	"limits":             "",
	"alerts":             "internal/replace",
	"limiter":            "limits",
	"ledger":             "limits internal/clip",
	"ledger/sqlitestore": "ledger internal/replace",
	"ledger/storetest":   "ledger",

	// Counters that several gateways share, and the test that all kinds of counters pass.
	"limiter/internal/suite": "limits limiter",
	"limiter/redisstore":     "limits limiter",

	// The limiter alone, for servers without keys.
	"limiter/httplimit": "limits limiter",

	"middleware/dialect":                    "middleware/dialect/internal/form middleware/dialect/internal/jsonscan middleware/dialect/internal/mediafile middleware/dialect/internal/meter middleware/dialect/internal/playtime middleware/dialect/media",
	"middleware/dialect/internal/form":      "",
	"middleware/dialect/internal/playtime":  "",
	"middleware/dialect/media":              "",
	"middleware/dialect/internal/mediafile": "middleware/dialect/media",
	"middleware/dialect/internal/jsonscan":  "",
	"middleware/dialect/internal/meter":     "middleware/dialect/internal/jsonscan",
	"middleware/forecast":                   "ledger",
	"middleware/internal/discovery":         "",
	"middleware/internal/rename":            "",
	"middleware/internal/requestid":         "ledger",
	"middleware/internal/unpack":            "",
	"middleware/translate":                  "middleware/dialect",
	"middleware":                            "limits limiter ledger middleware/dialect middleware/dialect/media middleware/forecast middleware/internal/discovery middleware/internal/rename middleware/internal/requestid middleware/internal/unpack middleware/translate",

	// The administration: two APIs above a web framework that knows neither.
	"middleware/admin/internal/schema":    "",
	"middleware/admin/internal/rest":      "ledger internal/clip middleware middleware/admin/internal/schema middleware/internal/requestid",
	"middleware/admin/internal/rules":     "limits middleware/admin/internal/rest",
	"middleware/admin/internal/admintest": "limiter ledger ledger/sqlitestore",
	"middleware/admin/aixplain":           "limits limiter ledger middleware/admin/internal/rest middleware/admin/internal/rules middleware/admin/internal/schema",
	"middleware/admin":                    "alerts limits limiter ledger middleware middleware/dialect middleware/forecast middleware/admin/aixplain middleware/admin/internal/rest middleware/admin/internal/rules middleware/admin/internal/schema",

	// The inference server stands alone.
	"gpubackend/engine":             "",
	"gpubackend/model":              "",
	"gpubackend/internal/gguf":      "",
	"gpubackend/internal/tokenizer": "gpubackend/engine gpubackend/internal/gguf",
	"gpubackend/internal/cpu":       "gpubackend/engine gpubackend/internal/gguf",
	"gpubackend/internal/testmodel": "gpubackend/internal/gguf",
	"gpubackend":                    "gpubackend/engine gpubackend/model gpubackend/internal/cpu gpubackend/internal/gguf gpubackend/internal/tokenizer",
	"gpubackend/cmd/gpubackend":     "gpubackend",

	// How calls are balanced, and what proves that it is done well.
	"caddymodule/balance/internal/prefix": "",
	"internal/simulator":                  "caddymodule/balance",
	"internal/simulator/simulate":         "internal/simulator",

	// What outlives a configuration knows no store, no command and no policy.
	"caddymodule/balance":               "middleware caddymodule/balance/internal/prefix caddymodule/internal/inflight",
	"caddymodule/internal/handover":     "ledger",
	"caddymodule/internal/runtime":      "caddymodule/internal/handover internal/replace alerts limits limiter limiter/redisstore ledger middleware middleware/forecast middleware/admin gpubackend",
	"caddymodule/console":               "internal/edits limits limiter ledger ledger/sqlitestore middleware/admin caddymodule/internal/runtime",
	"caddymodule":                       "internal/edits alerts limits limiter ledger ledger/sqlitestore middleware middleware/admin middleware/dialect middleware/dialect/media middleware/translate gpubackend caddymodule/balance caddymodule/console caddymodule/forward caddymodule/internal/runtime",
	"caddymodule/caddy":                 "caddymodule",
	"caddymodule/forward":               "caddymodule/forward/internal/wire caddymodule/internal/inflight",
	"caddymodule/forward/internal/wire": "",
	"caddymodule/internal/inflight":     "",

	"examples":              "",
	"examples/ownhandler":   "limits limiter ledger ledger/sqlitestore middleware",
	"examples/reverseproxy": "limits limiter ledger ledger/sqlitestore middleware",

	// Small things that several rooms use, and tools of tests and benchmarks.
	"internal/arrows":         "",
	"internal/clip":           "",
	"internal/cputime":        "",
	"internal/e2e":            "",
	"internal/edits":          "",
	"internal/load":           "",
	"internal/mutants/ledger": "",
	"internal/needs":          "",
	"internal/replace":        "",
	"internal/openapitest":    "",
	"internal/sdktest":        "",
	"internal/testkit":        "internal/needs",
	"internal/words":          "",
}

// list runs go list in the root of the repository and returns its lines.
func list(t *testing.T, arguments ...string) []string {
	t.Helper()
	command := exec.Command("go", append([]string{"list"}, arguments...)...)
	command.Dir = "../.."
	command.Stderr = &strings.Builder{}
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(arguments, " "), err, command.Stderr)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestArrowsPointDown(t *testing.T) {
	found := map[string]bool{}
	for _, line := range list(t, "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...") {
		fields := strings.Fields(line)
		name := strings.TrimPrefix(fields[0], module+"/")
		found[name] = true
		may, known := allowed[name]
		if !known {
			t.Errorf("package %s is not in the plan: add it to the table", name)
		}
		for _, path := range fields[1:] {
			if own, ok := strings.CutPrefix(path, module+"/"); ok && !slices.Contains(strings.Fields(may), own) {
				t.Errorf("%s imports %s, and may not", name, own)
			}
		}
	}
	for name := range allowed {
		if !found[name] {
			t.Errorf("package %s of the table does not exist", name)
		}
	}
}

// What a package links is more than what it imports.
func TestLibrariesLinkOnlyWhatTheyNeed(t *testing.T) {
	const caddy, sqlite, http = "github.com/caddyserver/", "modernc.org/sqlite", "net/http"
	for _, test := range []struct {
		pattern   string
		forbidden []string
	}{
		{"./limits", []string{caddy, sqlite, http}},
		{"./limiter", []string{caddy, sqlite, http}},
		{"./ledger", []string{caddy, sqlite, http}}, // a program pays only for the store that it imports
		{"./ledger/sqlitestore", []string{caddy, http}},
		{"./alerts", []string{caddy, sqlite}},
		{"./middleware/...", []string{caddy}},
		{"./middleware", []string{sqlite}},
		{"./examples/...", []string{caddy}},
		{"./gpubackend/...", []string{caddy, sqlite}},
		{"./caddymodule/internal/runtime", []string{sqlite}},
	} {
		for _, dependency := range list(t, "-deps", test.pattern) {
			for _, prefix := range test.forbidden {
				if dependency == prefix || strings.HasPrefix(dependency, strings.TrimSuffix(prefix, "/")+"/") {
					t.Errorf("%s links %s", test.pattern, dependency)
				}
			}
		}
	}
}

// Whoever imports a package relies on it. What only tests need is no offer.
func TestNoPackageForTestsIsOffered(t *testing.T) {
	for _, line := range list(t, "-f", `{{.ImportPath}} {{len .GoFiles}} {{.Doc}}`, "./...") {
		fields := strings.Fields(line)
		if fields[1] == "0" && !strings.Contains(fields[0], "/internal/") && fields[0] != module+"/examples" {
			t.Errorf("package %s holds only tests and can be imported", fields[0])
		}
	}
}
