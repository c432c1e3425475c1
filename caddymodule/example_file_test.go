package caddymodule

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/penstockhq/penstock/internal/testkit"
)

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
	front, back := testkit.FreeAddress(t), testkit.FreeAddress(t)
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
	if reply := call(t, "GET", url+"/health", "", ""); reply.status != 200 {
		t.Errorf("health: %+v", reply)
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

func TestTheExampleLogsNoKey(t *testing.T) {
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
				Encoder struct{ Format string }
			}
		}
	}
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	// The default log gets the errors, the other one the calls.
	for _, log := range []string{"default", "log0"} {
		if format := config.Logging.Logs[log].Encoder.Format; format != "penstock_redact" {
			t.Errorf("the log %s has the format %q", log, format)
		}
	}
}
