package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/ledger"
)

func TestMinimalFormNeedsNoGlobalOption(t *testing.T) {
	t.Chdir(t.TempDir())
	u := newUpstream(t, nil)
	address := freeAddress(t)
	mustLoad(t, "http://%s {\n\tpenstock_proxy %s\n}\n", address, u.address())
	g := &gateway{t: t, url: "http://" + address}
	if _, err := os.Stat("penstock-data/ledger.db"); err != nil {
		t.Error(err)
	}
	if reply := call(t, "POST", g.url+"/v1/chat/completions", "", chat(false)); reply.status != 401 {
		t.Errorf("without a key: %+v", reply)
	}
	l := g.engine().Ledger
	_, key, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "me"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.TopUp(t.Context(), "default", 10*ledger.Credit, "first"); err != nil {
		t.Fatal(err)
	}
	if reply := call(t, "POST", g.url+"/v1/chat/completions", key.Reveal(), chat(false)); reply.status != 200 {
		t.Errorf("with a key: %+v", reply)
	}
}

func TestKeysAreConfiguredByTheirHashes(t *testing.T) {
	u := newUpstream(t, nil)
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	const adminKey, memberKey = "an administrator's own words", "sk-a-member-of-old"
	t.Setenv("PENSTOCK_TEST_ADMIN_SHA256", hash(adminKey))
	options := "\n\t\tadmin_key_sha256 {env.PENSTOCK_TEST_ADMIN_SHA256}\n\t\tkey_sha256 " + hash(memberKey)
	site := "penstock_proxy " + u.address() + "\n\tpenstock_admin"
	g := start(t, options, site)
	request := newRequest(t, "POST", g.url+"/admin/v1/accounts/default/topups", adminKey, `{"amount":"10"}`)
	request.Header.Set("Idempotency-Key", "first")
	if reply, err := http.DefaultClient.Do(request); err != nil || reply.StatusCode/100 != 2 {
		t.Fatalf("top-up: %+v, %v", reply, err)
	}
	if reply := call(t, "POST", g.url+"/v1/chat/completions", memberKey, chat(false)); reply.status != 200 {
		t.Errorf("the member calls: %+v", reply)
	}
	g.reload("", site)
	if reply := call(t, "GET", g.url+"/admin/v1/keys", adminKey, ""); reply.status != 401 {
		t.Errorf("an administrator who is no longer configured: %+v", reply)
	}
	t.Setenv("PENSTOCK_TEST_ADMIN_SHA256", "")
	if err := load(t, g.config(options, site)); err == nil || !strings.Contains(err.Error(), "admin_key_sha256") {
		t.Errorf("an empty variable: %v", err)
	}
}

// example returns Caddyfile.example with free addresses and another directory.
func example(t *testing.T) (config, url, directory string) {
	t.Helper()
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if formatted := caddyfile.Format(text); string(formatted) != string(text) {
		t.Error("Caddyfile.example is not formatted")
	}
	directory = t.TempDir()
	front, back := freeAddress(t), freeAddress(t)
	_, port, _ := strings.Cut(back, ":")
	config = strings.NewReplacer("{$PENSTOCK_DATA:./penstock-data}", directory, ":8080 {", "http://"+front+" {",
		"localhost:9100", "localhost:"+port, ":9100 {", ":"+port+" {").Replace(string(text))
	return config, "http://" + front, directory
}

func TestExampleAnswersItsFirstCalls(t *testing.T) {
	config, url, directory := example(t)
	mustLoad(t, "%s", config)
	g := &gateway{t: t, url: url, data: directory}
	key := g.key("demo.key")
	reply := call(t, "POST", url+"/api/infer", key, `{"prompt":"What is a credit?"}`)
	var inferred struct {
		Text      string
		TokensIn  int `json:"tokens_in"`
		TokensOut int `json:"tokens_out"`
	}
	if err := json.Unmarshal([]byte(reply.body), &inferred); err != nil || reply.status != 200 || inferred.Text == "" || inferred.TokensIn == 0 || inferred.TokensOut == 0 {
		t.Fatalf("infer: %+v, %v", reply, err)
	}
	for _, stream := range []bool{false, true} {
		if reply := call(t, "POST", url+"/v1/chat/completions", key, chat(stream)); reply.status != 200 || !strings.Contains(reply.body, `"choices"`) {
			t.Errorf("chat, stream %v: %+v", stream, reply)
		}
	}
	if reply := call(t, "GET", url+"/admin/v1/keys", g.key("admin.key"), ""); reply.status != 200 {
		t.Errorf("admin: %+v", reply)
	}
	before, _ := g.engine().Ledger.Account("demo")
	if before.Spent == 0 {
		t.Error("three calls cost nothing")
	}
	stop(t)
	mustLoad(t, "%s", config)
	if after, _ := g.engine().Ledger.Account("demo"); after != before {
		t.Errorf("the account after a restart is %+v, was %+v", after, before)
	}
}

func TestBackendOutlivesReloadsAndRefusesABadModel(t *testing.T) {
	front := freeAddress(t)
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

func TestTheExampleLogsNoHeaderThatHoldsAKey(t *testing.T) {
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": "Caddyfile.example"})
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Logging struct {
			Logs map[string]struct {
				Encoder struct {
					Fields map[string]struct{ Filter string }
				}
			}
		}
	}
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	// The default log gets the errors, the other one the calls.
	for _, log := range []string{"default", "log0"} {
		for _, header := range []string{"X-Api-Key", "Api-Key"} {
			if filter := config.Logging.Logs[log].Encoder.Fields["request>headers>"+header].Filter; filter != "delete" {
				t.Errorf("the log %s writes %s", log, header)
			}
		}
	}
}
