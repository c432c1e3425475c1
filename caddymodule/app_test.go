package caddymodule

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/ledger"
)

func TestCheckingAConfigurationMakesNoFiles(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "data")
	adapted := toJSON(t, fmt.Sprintf("{\n\tpenstock {\n\t\tledger sqlite %s\n\t\tbootstrap demo\n\t}\n}\nhttp://127.0.0.1:1 {\n\tpenstock_proxy 127.0.0.1:2\n}\n", directory))
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&config); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(directory); !os.IsNotExist(err) {
		t.Errorf("the directory exists: %v", err)
	}
	noEngine(t)
}

func TestFailedProvisionLeaksNoReference(t *testing.T) {
	for name, site := range map[string]string{
		"in the gate's neighbour": "penstock\n\treverse_proxy 127.0.0.1:2 {\n\t\tlb_policy penstock {\n\t\t\tupstream 127.0.0.1:3\n\t\t}\n\t}",
		"in an unrelated handler": "penstock\n\treverse_proxy 127.0.0.1:2 {\n\t\ttransport http {\n\t\t\ttls_client_auth /no/such.crt /no/such.key\n\t\t}\n\t}",
	} {
		t.Run(name, func(t *testing.T) {
			err := load(t, fmt.Sprintf("{\n\tpenstock {\n\t\tledger sqlite %s\n\t}\n}\nhttp://127.0.0.1:1 {\n\t%s\n}\n", t.TempDir(), site))
			if err == nil {
				t.Fatal("the configuration was loaded")
			}
			noEngine(t)
		})
	}
}

func TestConfigurationThatDoesNotComeUpChangesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dearer := strings.Replace(demoOptions, "price request 0.5", "price request 7", 1)
	for name, broken := range map[string]struct{ options, rest string }{
		"because of another app": {dearer, fmt.Sprintf("http://%s {\n\trespond taken\n}\n", taken.Addr())},
		"because of this app":    {dearer + "\n\t\tmodel zz" + strings.Repeat("z", 300), ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, nil)
			site := "penstock_proxy " + u.address()
			g := start(t, demoOptions, site)
			want := g.engine().Ledger.Price("tiny")
			if err := caddy.Load(toJSON(t, g.config(broken.options, site)+broken.rest), true); err == nil {
				t.Fatal("the configuration was loaded")
			}
			if got := g.engine().Ledger.Price("tiny"); got != want {
				t.Errorf("the price is %+v, want %+v", got, want)
			}
			if refs := g.engine().Shares(); refs != 1 {
				t.Errorf("%d configurations hold the engine", refs)
			}
			if reply := call(t, "POST", g.url+"/v1/chat/completions", g.key("demo.key"), chat(false)); reply.status != 200 {
				t.Errorf("call after the failure: %+v", reply)
			}
		})
	}
}

func TestBootstrapWritesTheKeysOnce(t *testing.T) {
	g := start(t, demoOptions, "penstock")
	keys := map[string]string{}
	for _, name := range []string{"admin.key", "demo.key"} {
		file := filepath.Join(g.data, name)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		keys[name] = g.key(name)
		if text, _ := os.ReadFile(file); string(text) != keys[name]+"\n" || strings.ContainsAny(keys[name], " \n") {
			t.Errorf("%s holds something besides the key and a newline", name)
		}
	}
	l := g.engine().Ledger
	account, _ := l.Account("demo")
	if account.Available != 100*ledger.Credit {
		t.Errorf("the demo account has %s credits", account.Available)
	}
	if admin, err := l.Authenticate(keys["admin.key"]); err != nil || admin.Role != ledger.RoleAdmin {
		t.Errorf("admin.key: %+v, %v", admin, err)
	}
	if member, err := l.Authenticate(keys["demo.key"]); err != nil || member.Role != ledger.RoleMember || member.Owner != "demo" {
		t.Errorf("demo.key: %+v, %v", member, err)
	}
	stop(t)
	g.reload(demoOptions, "penstock")
	if g.key("demo.key") != keys["demo.key"] {
		t.Error("the second start made another key")
	}
	if account, _ = g.engine().Ledger.Account("demo"); account.Available != 100*ledger.Credit {
		t.Errorf("after the second start the demo account has %s credits", account.Available)
	}
}

func TestWithoutBootstrapNothingIsCreated(t *testing.T) {
	g := start(t, "", "penstock")
	if !g.engine().Ledger.Empty() {
		t.Error("the ledger is not empty")
	}
	if files, _ := filepath.Glob(filepath.Join(g.data, "*.key")); len(files) > 0 {
		t.Errorf("found %v", files)
	}
}

func TestLimitsSurviveARestart(t *testing.T) {
	for name, damage := range map[string]func(*gateway){
		"clean":   func(*gateway) {},
		"unclean": func(g *gateway) { os.Remove(filepath.Join(g.data, runtime.CountersFile)) },
		"damaged": func(g *gateway) {
			os.WriteFile(filepath.Join(g.data, runtime.CountersFile), []byte("penstock limiter?"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, nil)
			options := demoOptions + "\n\t\tdefault_limits rpd 2"
			site := "penstock_proxy " + u.address()
			g := start(t, options, site)
			url, key := g.url+"/v1/chat/completions", g.key("demo.key")
			if reply := call(t, "POST", url, key, chat(false)); reply.status != 200 {
				t.Fatalf("first call: %+v", reply)
			}
			stop(t)
			if info, err := os.Stat(filepath.Join(g.data, runtime.CountersFile)); err != nil || info.Mode() != 0o600 {
				t.Errorf("the counters' file: %v, %v", info, err)
			}
			damage(g)
			g.reload(options, site)
			if _, err := os.Stat(filepath.Join(g.data, runtime.CountersFile)); !os.IsNotExist(err) {
				t.Errorf("the counters' file is still there: %v", err)
			}
			if reply := call(t, "POST", url, key, chat(false)); reply.status != 200 {
				t.Fatalf("second call: %+v", reply)
			}
			if reply := call(t, "POST", url, key, chat(false)); reply.status != 429 {
				t.Errorf("third call: %+v", reply)
			}
		})
	}
}

// otherProcess is set in the environment of the second process of the test below
// to the directory that it tries to use.
const otherProcess = "PENSTOCK_TEST_OTHER_PROCESS"

func TestWhatOutlivesAConfigurationLogsToTheNewOne(t *testing.T) {
	g := &gateway{t: t, data: t.TempDir(), address: testkit.FreeAddress(t)}
	directory := t.TempDir()
	with := func(file string) string {
		return strings.Replace(g.config("", "penstock"), "{\n", "{\n\tlog {\n\t\toutput file "+filepath.Join(directory, file)+"\n\t}\n", 1)
	}
	mustLoad(t, "%s", with("old"))
	log := runtime.LastingLog("penstock").With("who", "engine")
	log.Info("before")
	mustLoad(t, "%s", with("new"))
	log.WithGroup("more").Warn("after", "what", 7)
	text, err := os.ReadFile(filepath.Join(directory, "new"))
	if err != nil || !strings.Contains(string(text), `"msg":"after","who":"engine","more":{"what":7}`) || strings.Contains(string(text), `"before"`) {
		t.Errorf("%v: %s", err, text)
	}
}

// provisioned provisions a configuration that is never started, as when its servers
// start first and another app holds the rest up. The test ends with its cleanup.
func provisioned(t *testing.T, g *gateway, options string) (*App, *Gate) {
	t.Helper()
	var config caddy.Config
	if err := json.Unmarshal(toJSON(t, g.config(options, "penstock")), &config); err != nil {
		t.Fatal(err)
	}
	delete(config.AppsRaw, "http")
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		t.Fatal(err)
	}
	gate := new(Gate)
	if err := gate.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return gate.app, gate
}

// serve takes a chat through a gate to an upstream that answers at once.
func serve(t *testing.T, gate *Gate, key string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/chat/completions", strings.NewReader(chat(false)))
	r.Header.Set("Authorization", "Bearer "+key)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
	err := gate.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write([]byte(`{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}`))
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestCallsBeforeTheAppStartedRunAtTheNewPrices(t *testing.T) {
	const before, after = "\n\t\tbootstrap demo\n\t\tmodel tiny {\n\t\t\tprice request 1\n\t\t}", "\n\t\tmodel tiny {\n\t\t\tprice request 7\n\t\t}"
	g := start(t, before, "penstock")
	key := g.key("demo.key")
	next, gate := provisioned(t, g, after)
	if w := serve(t, gate, key); w.Code != 200 || w.Header().Get("X-Penstock-Credits-Charged") != "7.000000" {
		t.Errorf("a call before the start: %d, charged %q", w.Code, w.Header().Get("X-Penstock-Credits-Charged"))
	}

	// Another app fails to start: this one is cleaned up without having started.
	if err := next.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if price := g.engine().Ledger.Price("tiny").Request; price.String() != "1.000000" {
		t.Errorf("after the failure the price is %s", price)
	}
}

func TestACallThatComesTooLateBringsNoPricesBack(t *testing.T) {
	g := start(t, demoOptions, "penstock")
	want := g.engine().Ledger.Price("tiny")
	next, _ := provisioned(t, g, "\n\t\tmodel tiny {\n\t\t\tprice request 7\n\t\t}")
	if err := next.Cleanup(); err != nil {
		t.Fatal(err)
	}
	if err := next.begin(); err == nil {
		t.Error("a configuration came into force after its cleanup")
	}
	if got := g.engine().Ledger.Price("tiny"); got != want {
		t.Errorf("the price is %+v, want %+v", got, want)
	}
}

func TestMinimalFormNeedsNoGlobalOption(t *testing.T) {
	t.Chdir(t.TempDir())
	u := newUpstream(t, nil)
	address := testkit.FreeAddress(t)
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
