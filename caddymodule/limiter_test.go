package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
)

func TestPlaceholdersOfRedisAreReplaced(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PENSTOCK_TEST_ADDRESS", "redis.internal:6379")
	r := &Redis{
		Addresses: []string{"{env.PENSTOCK_TEST_ADDRESS}"}, Username: "gateway", Password: "{file." + secret + "}",
		OnError: "open", TLS: true,
	}
	if err := r.provision(); err != nil {
		t.Fatal(err)
	}
	if err := r.validate(); err != nil {
		t.Fatal(err)
	}
	s := r.settings()
	if s.Addresses != "redis.internal:6379" || s.Password != "from a file" || !s.Admit || !s.TLS {
		t.Errorf("the settings are not those of the configuration: addresses %q, admit %v, TLS %v", s.Addresses, s.Admit, s.TLS)
	}
	r = &Redis{Addresses: []string{"localhost:6379"}, Password: "{env.PENSTOCK_TEST_NOT_SET}"}
	if err := r.provision(); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("a placeholder without a value gives %v", err)
	}
}

func TestWithoutRedisCallsPassUncountedWhereTheyMay(t *testing.T) {
	redis := testkit.StartRedis(t)
	u := newUpstream(t, nil)
	options := demoOptions + fmt.Sprintf("\n\t\tlimiter {\n\t\t\tredis %s {\n\t\t\t\ton_error open\n\t\t\t\ttimeout 1s\n\t\t\t}\n\t\t}", redis.Socket)
	g := start(t, options, "penstock_health\npenstock_proxy "+u.address())
	redis.Kill()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if reply := call(t, "POST", g.url+"/v1/chat/completions", g.key("demo.key"), chat(false)); reply.status != 200 {
			t.Fatalf("without Redis a call gets %d %s", reply.status, reply.body)
		}
		reply := call(t, http.MethodGet, g.url+"/health", "", "")
		if reply.status == 200 && strings.Contains(reply.body, `{"status":"degraded","reasons":["limits_not_counted"]}`) {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the health is %d %s", reply.status, reply.body)
		}
	}
}
