package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

var update = flag.Bool("update", false, "write what adapting gives into the files of testdata/adapt")

const (
	// nextCase stands between the cases of a file.
	nextCase = "==========\n"
	// divider stands between a Caddyfile and what adapting it gives: JSON, or the
	// text of an error in the files whose name ends in _errors.
	divider = "----------\n"
)

// adapt turns a Caddyfile into indented JSON. Warnings are errors here.
func adapt(t *testing.T, config string) (string, error) {
	t.Helper()
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return "", err
	}
	for _, warning := range warnings {
		t.Errorf("unexpected warning: %s", warning)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, adapted, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return indented.String(), nil
}

func TestAdaptingGivesWhatTheFilesSay(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		cases := strings.Split(string(content), nextCase)
		for i := range cases {
			config, want, found := strings.Cut(cases[i], divider)
			t.Run(fmt.Sprintf("%s/%d", name, i+1), func(t *testing.T) {
				if !found {
					t.Fatal("the case has no divider")
				}
				got := adaptCase(t, config, strings.HasSuffix(name, "_errors"))
				if *update {
					cases[i] = config + divider + got + "\n"
				} else if got != strings.TrimSuffix(want, "\n") {
					t.Errorf("%s\ngives\n%s\nwant\n%s", config, got, want)
				}
			})
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.Join(cases, nextCase)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// adaptCase returns the JSON of a Caddyfile, or its error.
func adaptCase(t *testing.T, config string, fails bool) string {
	t.Helper()
	if formatted := string(caddyfile.Format([]byte(config))); formatted != config {
		t.Errorf("the Caddyfile is not formatted; want\n%s", formatted)
	}
	got, err := adapt(t, config)
	if !fails {
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if err == nil {
		t.Fatalf("no error for\n%s", config)
	}
	if !strings.Contains(err.Error(), "at Caddyfile:") {
		t.Errorf("the error names no line: %v", err)
	}
	return err.Error()
}

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
