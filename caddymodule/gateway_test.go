package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
)

// toJSON adapts a Caddyfile with global options that suit a test: no admin
// endpoint, no certificates, nothing in the user's home.
func toJSON(t testing.TB, config string) []byte {
	t.Helper()
	options := "\tadmin off\n\tauto_https off\n\tpersist_config off\n\tstorage file_system " + t.TempDir() + "\n"
	if before, rest, has := strings.Cut("\n"+config, "\n{\n"); has {
		config = before + "\n{\n" + options + rest
	} else {
		config = "{\n" + options + "}\n" + config
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("adapting %s: %v", config, err)
	}
	return adapted
}

// load makes a Caddyfile the running configuration. There is one Caddy in a
// process, so tests that load run one after the other.
func load(t *testing.T, config string) error {
	t.Helper()
	t.Cleanup(func() { stop(t) })
	// A server that is replaced resets connections that are idle, and the client
	// would not send a POST again.
	http.DefaultClient.CloseIdleConnections()
	return caddy.Load(toJSON(t, config), true)
}

// stop stops Caddy and waits until the last calls have given their engines back,
// as Caddy itself only waits for them when the process exits.
func stop(t *testing.T) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	if err := caddy.Stop(); err != nil {
		t.Errorf("stopping Caddy: %v", err)
	}
	for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(time.Millisecond) {
		if runtime.EnginesLeft() == 0 {
			return
		}
	}
	noEngine(t)
}

// noEngine fails if a configuration that is gone still holds an engine.
func noEngine(t *testing.T) {
	t.Helper()
	for engine := range runtime.Engines {
		t.Errorf("%s is still held", engine.Identity())
	}
}

// mustLoad is load for a configuration that is right.
func mustLoad(t *testing.T, format string, arguments ...any) {
	t.Helper()
	if err := load(t, fmt.Sprintf(format, arguments...)); err != nil {
		t.Fatal(err)
	}
}

// gateway is a running configuration with the demo keys.
type gateway struct {
	t       *testing.T
	url     string
	data    string // directory of the ledger
	address string
}

// demoOptions are the global options of most tests.
const demoOptions = `
		bootstrap demo
		model tiny {
			price minute 1
			price request 0.5
		}`

// start loads a configuration with a global option penstock and one site, in
// which %s stands for nothing: site is inserted as it is.
func start(t *testing.T, options, site string) *gateway {
	t.Helper()
	g := &gateway{t: t, data: t.TempDir(), address: testkit.FreeAddress(t)}
	g.url = "http://" + g.address
	g.reload(options, site)
	return g
}

// config returns the Caddyfile of the gateway.
func (g *gateway) config(options, site string) string {
	return fmt.Sprintf("{\n\tpenstock {\n\t\tledger sqlite %s%s\n\t}\n}\n\nhttp://%s {\n%s\n}\n", g.data, options, g.address, site)
}

// reload loads another configuration of the same gateway.
func (g *gateway) reload(options, site string) {
	g.t.Helper()
	mustLoad(g.t, "%s", g.config(options, site))
}

// key reads one of the demo keys.
func (g *gateway) key(file string) string {
	g.t.Helper()
	return keyFrom(g.t, g.data, file)
}

// keyFrom reads a key from the directory of a ledger.
func keyFrom(t testing.TB, directory, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(directory, file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// engine returns the running engine.
func (g *gateway) engine() *runtime.Engine {
	g.t.Helper()
	for engine := range runtime.Engines {
		return engine
	}
	g.t.Fatal("no engine runs")
	return nil
}

// settled returns the entries of all charges.
func (g *gateway) settled() []ledger.Entry {
	g.t.Helper()
	entries, err := g.engine().Ledger.Entries(g.t.Context(), 0, 1000)
	if err != nil {
		g.t.Fatal(err)
	}
	return slices.DeleteFunc(entries, func(entry ledger.Entry) bool {
		return entry.Kind != ledger.KindSettle && entry.Kind != ledger.KindVoid
	})
}
