package balance_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/penstockhq/penstock/caddymodule/balance"
	"github.com/penstockhq/penstock/internal/testkit"
)

// run loads a site on a free address and returns its URL.
func run(t *testing.T, site string) (string, error) {
	t.Helper()
	address := testkit.FreeAddress(t)
	config := "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\nhttp://" + address + " {\n" + site + "\n}\n"
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), nil)
	if err != nil {
		return "", err
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return "http://" + address, caddy.Load(adapted, true)
}

// server starts an upstream that answers with a name and returns its address.
func server(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) }))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// shares calls a URL and returns how often each upstream answered.
func shares(t *testing.T, url string, calls int) map[string]float64 {
	t.Helper()
	got := make(map[string]float64)
	for range calls {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 16)
		n, _ := response.Body.Read(body)
		response.Body.Close()
		got[string(body[:n])] += 1 / float64(calls)
	}
	return got
}

func TestTheProxySharesByTheWeightOfAnAddress(t *testing.T) {
	a, b, c := server(t, "a"), server(t, "b"), server(t, "c")
	down := httptest.NewServer(nil)
	down.Close() // keeps the address of a server that refuses connections
	gone := strings.TrimPrefix(down.URL, "http://")
	url, err := run(t, fmt.Sprintf(`
		reverse_proxy %s %s %s %s {
			lb_policy penstock {
				upstream %s weight 6
				upstream %s weight 3
				upstream %s weight 1000
			}
			lb_retries 3
			fail_duration 1m
		}`, gone, a, b, c, a, b, gone))
	if err != nil {
		t.Fatal(err)
	}
	shares(t, url, 1) // finds out that one upstream is down
	const calls = 2000
	got := shares(t, url, calls)
	for name, want := range map[string]float64{"a": .6, "b": .3, "c": .1} {
		if math.Abs(got[name]-want) > 6*math.Sqrt(want*(1-want)/calls) {
			t.Errorf("%s got the share %.3f, want %.1f", name, got[name], want)
		}
	}
}

func TestDynamicUpstreamsAreWeightedByAddress(t *testing.T) {
	_, port, _ := net.SplitHostPort(server(t, "a"))
	url, err := run(t, fmt.Sprintf(`
		reverse_proxy {
			dynamic a localhost %s {
				versions ipv4
			}
			lb_policy penstock {
				upstream 127.0.0.1:%s weight 6
				upstream 10.0.0.1:1 weight 6
			}
		}`, port, port))
	if err != nil {
		t.Fatal(err)
	}
	if got := shares(t, url, 3); got["a"] != 1 {
		t.Errorf("got %v", got)
	}
}

func TestLoadingRefusesAWeightForAnUpstreamThatIsNotListed(t *testing.T) {
	_, err := run(t, `
		reverse_proxy 127.0.0.1:1 {
			lb_policy penstock {
				upstream 127.0.0.1:2 weight 2
			}
		}`)
	if err == nil || !strings.Contains(err.Error(), "upstream 127.0.0.1:2 is not an upstream of its reverse_proxy, which has 127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
}

func TestLoadingChecksUpstreamsThatAreWrittenAsJSON(t *testing.T) {
	for _, test := range []struct{ upstreams, want string }{
		{`[{"address":"127.0.0.1:1","weight":-1}]`, "weight -1 is not between 0 and 1000000"},
		{`[{"address":"127.0.0.1:1"},{"address":"127.0.0.1:1"}]`, "upstream 127.0.0.1:1 is listed twice"},
		{`[{"address":"127.0.0.1:1","wait":1}]`, `unknown field "wait"`},
	} {
		config := fmt.Sprintf(`{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[
			{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}],"load_balancing":{"selection_policy":{"policy":"penstock","upstreams":%s}}}]}]}}}}}`, test.upstreams)
		if !json.Valid([]byte(config)) {
			t.Fatal(config)
		}
		err := caddy.Load([]byte(config), true)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", test.upstreams, err)
		}
	}
}
