package forward_test

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func TestLoadingSaysWhatIsWrongWithTheProxy(t *testing.T) {
	for proxy, want := range map[string]string{
		``:                               "proxy: a handler reverse_proxy is required",
		`,"proxy":{"handler":"headers"}`: "proxy: expected the handler reverse_proxy, got headers",
		`,"proxy":{"handler":"reverse_proxy","upstream":[]}`:                                                        `unknown field "upstream"`,
		`,"proxy":{"handler":"reverse_proxy","upstreams":[{"dial":"a:1"}],"trusted_proxies":["x"]}`:                 "invalid IP address",
		`,"proxy":{"handler":"reverse_proxy","load_balancing":{"selection_policy":{"policy":"penstock_is_great"}}}`: "unknown module",
	} {
		config := `{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[{"handler":"penstock_forward"` +
			proxy + `}]}]}}}}}`
		if err := caddy.Validate(configOf(t, config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", proxy, err)
		}
	}
}

func configOf(t *testing.T, text string) *caddy.Config {
	t.Helper()
	config := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON([]byte(text), config); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestEverythingGoesThroughTheProxyIfAnOptionIsNotKnown(t *testing.T) {
	u := newRawUpstream(t)
	u.begin(script{replies: []string{reply}})
	address := serve(t, "", forwarding(`,"headers":{"response":{"set":{"X-By":["proxy"]}}}`, u.listener.Addr().String()))[0]
	client := new(rawClient)
	defer client.close()
	if got := client.exchange(t, address, post); !strings.Contains(got, "X-By") {
		t.Error(got)
	}
}

func TestAnUpstreamMayBeAUnixSocket(t *testing.T) {
	u := newRawUpstreamAt(t, "unix", t.TempDir()+"/s")
	u.begin(script{replies: []string{reply}})
	address := serve(t, "", forwarding("", "unix/"+u.listener.Addr().String()))[0]
	client := new(rawClient)
	defer client.close()
	for range 2 {
		if got := client.exchange(t, address, post); !strings.Contains(got, "200 OK") {
			t.Error(got)
		}
	}
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.connections != 1 || strings.Contains(u.saw[0], "gzip") {
		t.Errorf("%d connections, saw %q", u.connections, u.saw)
	}
}
