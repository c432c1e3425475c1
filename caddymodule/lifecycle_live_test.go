package caddymodule

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
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

func TestAReloadGivesNoNewTriesToGuessAKey(t *testing.T) {
	g := start(t, demoOptions, "penstock_admin")
	guess := func() int { return call(t, "GET", g.url+"/admin/v1/keys", "wrong", "").status }
	tries := 0
	for ; guess() == 401; tries++ {
		if tries == 1000 {
			t.Fatal("failures are not throttled")
		}
	}
	g.reload(demoOptions+"\n\t\tbounds rpm 1 600", "penstock_admin")
	// The address is shut out for seconds, also with the right key.
	reply := call(t, "GET", g.url+"/admin/v1/keys", g.key("admin.key"), "")
	if reply.status != 429 || !strings.Contains(reply.body, "too_many_failures") {
		t.Errorf("after %d tries and a reload: %d %s", tries, reply.status, reply.body)
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

func TestSecondProcessOnADirectoryRefusesToStart(t *testing.T) {
	if directory := os.Getenv(otherProcess); directory != "" {
		err := load(t, fmt.Sprintf("{\n\tpenstock {\n\t\tledger sqlite %s\n\t}\n}\n", directory))
		fmt.Println("second process:", err)
		return
	}
	g := start(t, "", "penstock")
	second := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	second.Env = append(os.Environ(), otherProcess+"="+g.data)
	output, err := second.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if !strings.Contains(string(output), "another process has the ledger open") || !strings.Contains(string(output), g.data) {
		t.Errorf("the second process says %s", output)
	}
}

func TestWhatOutlivesAConfigurationLogsToTheNewOne(t *testing.T) {
	g := &gateway{t: t, data: t.TempDir(), address: freeAddress(t)}
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
