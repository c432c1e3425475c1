package caddymodule

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/caddymodule/console"
	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
)

func TestTheCommandLineIsRegistered(t *testing.T) {
	if _, registered := caddycmd.Commands()["penstock"]; !registered {
		t.Error("importing the package registers no command penstock")
	}
}

func TestCommandsFindTheInstanceByItsDirectory(t *testing.T) {
	g := start(t, "", "penstock_admin")
	run := func(arguments ...string) (printed, told string) {
		t.Helper()
		root := &cobra.Command{Use: "caddy"}
		penstock := &cobra.Command{Use: "penstock"}
		console.Command().CobraFunc(penstock)
		root.AddCommand(penstock)
		var out, err strings.Builder
		root.SetOut(&out)
		root.SetErr(&err)
		root.SetArgs(append([]string{"penstock", "--data", g.data}, arguments...))
		if failure := root.ExecuteContext(t.Context()); failure != nil {
			t.Fatalf("%v: %v\n%s", arguments, failure, err.String())
		}
		return out.String(), err.String()
	}
	var key struct {
		Key       string `json:"key"`
		AllOwners bool   `json:"all_owners"`
	}
	printed, told := run("keys", "create", "--admin", "--json")
	if err := json.Unmarshal([]byte(printed), &key); err != nil || !key.AllOwners {
		t.Fatalf("%v: %s", err, printed)
	}
	if want := "done by the instance that runs on " + g.data + "\n"; told != want {
		t.Errorf("the command said %q, want %q", told, want)
	}
	if reply := call(t, "GET", g.url+"/admin/v1/keys", key.Key, ""); reply.status != 200 {
		t.Errorf("the running instance does not know the key: %d %s", reply.status, reply.body)
	}
	g.reload("\n\t\tdefault_limits rpm 7", "penstock_admin")
	if printed, _ := run("keys", "create", "team", "--owner", "acme"); !strings.Contains(printed, "rpm=7") {
		t.Errorf("after a reload the command makes\n%s", printed)
	}
	if _, err := os.Stat(filepath.Join(g.data, runtime.SocketFile)); err != nil {
		t.Error(err)
	}
	stop(t)
	if _, err := os.Stat(filepath.Join(g.data, runtime.SocketFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a stop: %v", err)
	}
}
