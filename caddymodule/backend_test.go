package caddymodule

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/internal/testkit"
)

func TestBackendOutlivesReloadsAndRefusesABadModel(t *testing.T) {
	front := testkit.FreeAddress(t)
	config := "http://" + front + " {\n\tpenstock_backend {\n\t\tslots %d\n\t}\n}\n"
	held := func() map[*runtime.Backend]bool {
		found := make(map[*runtime.Backend]bool)
		for backend := range runtime.Backends {
			found[backend] = true
		}
		return found
	}
	mustLoad(t, config, 2)
	first := held()
	mustLoad(t, config+"# changed\n", 2)
	for m := range held() {
		if !first[m] || !m.IsLoaded() {
			t.Error("the reload loaded the model again")
		}
	}
	mustLoad(t, config, 3)
	for m := range held() {
		if first[m] {
			t.Error("the backend did not take over another number of slots")
		}
	}
	if reply := call(t, "GET", "http://"+front+"/v1/models", "", ""); reply.status != 200 || !strings.Contains(reply.body, "tiny") {
		t.Errorf("models: %+v", reply)
	}
	broken := t.TempDir() + "/broken.gguf"
	if err := os.WriteFile(broken, []byte("not a model"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{broken, broken + ".missing"} {
		err := load(t, fmt.Sprintf("http://%s {\n\tpenstock_backend {\n\t\tmodel_file %s\n\t}\n}\n", front, file))
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if reply := call(t, "GET", "http://"+front+"/v1/models", "", ""); reply.status != 200 {
		t.Errorf("after the failures: %+v", reply)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if left := held(); len(left) > 0 {
		t.Errorf("%d models stay loaded", len(left))
	}
}

func TestWrongFieldsOfABackendAreRefusedBeforeItStarts(t *testing.T) {
	for field, want := range map[string]string{
		`"slots":-1`: "slots -1", `"queue_depth":-1`: "queue_depth -1", `"queue_wait":-5`: "queue_wait -5", `"context":-1`: "context -1",
		`"step_tokens":-1`: "step_tokens -1", `"threads":-1`: "threads -1", `"max_body":-1`: "max_body -1", `"write_timeout":-1`: "write_timeout -1",
		`"device":"tpu"`: `unknown value "tpu"`, `"model_names":["a","a"]`: "a is given twice",
	} {
		var config caddy.Config
		if err := json.Unmarshal(toJSON(t, "http://127.0.0.1:1 {\n\tpenstock_backend\n}\n"), &config); err != nil {
			t.Fatal(err)
		}
		config.AppsRaw["http"] = []byte(strings.Replace(string(config.AppsRaw["http"]), `"handler":"penstock_backend"`, `"handler":"penstock_backend",`+field, 1))
		if err := caddy.Validate(&config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
