package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// FuzzAdapt puts damaged Caddyfiles through the parsers: they may refuse, with a
// line, but not panic, and what they accept may be refused when it is provisioned,
// which must hold nothing afterwards.
func FuzzAdapt(f *testing.F) {
	files, err := filepath.Glob("testdata/adapt/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for one := range strings.SplitSeq(string(content), nextCase) {
			config, _, _ := strings.Cut(one, divider)
			f.Add(config)
		}
	}
	f.Fuzz(func(t *testing.T, config string) {
		if strings.Contains(config, "import") || strings.Contains(config, "file") {
			t.Skip("would read files")
		}
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": "Caddyfile"})
		if err == nil && len(adapted) == 0 {
			t.Error("neither a configuration nor an error")
		}
		if err == nil {
			provision(t, adapted)
		}
	})
}

// provision provisions what a configuration says of the app penstock, without its
// servers.
func provision(t *testing.T, adapted []byte) {
	t.Helper()
	var whole struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(adapted, &whole); err != nil {
		t.Fatal(err)
	}
	config := caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output":"discard"}`)}}}},
		AppsRaw: caddy.ModuleMap{},
	}
	if app, has := whole.Apps["penstock"]; has {
		config.AppsRaw["penstock"] = app
	}
	if err := caddy.Validate(&config); err != nil && strings.Contains(err.Error(), "decoding module config") {
		t.Errorf("the app does not read what its own Caddyfile became: %v", err)
	}
	noEngine(t)
}
