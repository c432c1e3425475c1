package forward

import (
	"encoding/json"
	"testing"
	"time"
)

func TestEachOptionIsEitherKnownOrAnObstacle(t *testing.T) {
	for config, want := range map[string]string{
		`{"handler":"reverse_proxy","upstreams":[{"dial":"a:1"},{"dial":"unix//run/a.sock"}],"flush_interval":-1,"trusted_proxies":["10.0.0.0/8","::1"]}`:                          "",
		`{"upstreams":[{"dial":"a:1"}],"transport":{"protocol":"http","dial_timeout":1,"response_header_timeout":1,"max_response_header_size":9,"keep_alive":{"idle_timeout":1}}}`: "",
		`{"upstreams":[{"dial":"a:1"}],"load_balancing":{"retries":2,"selection_policy":{"policy":"penstock"}},"health_checks":{"active":{"uri":"/"}}}`:                            "",
		`{"upstreams":[{"dial":"a:1"}],"load_balancing":{"selection_policy":{"policy":"least_conn"}}}`:                                                                             "policy least_conn",
		`{"upstreams":[{"dial":"a:1"}],"load_balancing":{"selection_policy":{"policy":"header","fallback":{"policy":"least_conn"}}}}`:                                              "policy header",
		`{"upstreams":[{"dial":"a:1"}],"load_balancing":{"try_duration":1}}`:                                                                                                       "load_balancing.try_duration",
		`{"upstreams":[{"dial":"a:1"}],"load_balancing":{"retry_match":[]}}`:                                                                                                       "load_balancing.retry_match",
		`{"upstreams":[{"dial":"a:1"}],"health_checks":{"passive":{"fail_duration":1}}}`:                                                                                           "health_checks.passive",
		`{"upstreams":[{"dial":"a:1","max_requests":1}]}`:                                                                                                                          "upstreams.max_requests",
		`{"upstreams":[{"dial":"{env.A}"}]}`:                                                               "upstream {env.A}",
		`{"upstreams":[{"dial":"a:1-2"}]}`:                                                                 "upstream a:1-2",
		`{"upstreams":[{"dial":"udp/a:1"}]}`:                                                               "upstream udp/a:1",
		`{"dynamic_upstreams":{"source":"a"}}`:                                                             "dynamic_upstreams",
		`{}`:                                                                                               "no static upstream",
		`{"upstreams":[{"dial":"a:1"}],"flush_interval":1}`:                                                "flush_interval",
		`{"upstreams":[{"dial":"a:1"}],"headers":{}}`:                                                      "headers",
		`{"upstreams":[{"dial":"a:1"}],"an_option_of_tomorrow":1}`:                                         "an_option_of_tomorrow",
		`{"upstreams":[{"dial":"a:1"}],"rewrite":{},"handle_response":[]}`:                                 "handle_response",
		`{"upstreams":[{"dial":"a:1"}],"transport":{"protocol":"fastcgi","root":"/"}}`:                     "transport fastcgi",
		`{"upstreams":[{"dial":"a:1"}],"transport":{"protocol":"http","tls":{}}}`:                          "transport.tls",
		`{"upstreams":[{"dial":"a:1"}],"transport":{"protocol":"http","versions":["h2c"]}}`:                "transport.versions",
		`{"upstreams":[{"dial":"a:1"}],"transport":{"protocol":"http","keep_alive":{"enabled":false}}}`:    "keep_alive off",
		`{"upstreams":[{"dial":"a:1"}],"transport":{"protocol":"http","keep_alive":{"max_idle_conns":1}}}`: "keep_alive.max_idle_conns",
	} {
		if got, err := Obstacle(json.RawMessage(config)); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", config, got, err, want)
		}
	}
}

func TestAForwardProxyOfTheEnvironmentIsAnObstacle(t *testing.T) {
	t.Setenv("no_proxy", "") // net/http reads the environment once, before or now
	got, err := Obstacle(json.RawMessage(`{"upstreams":[{"dial":"localhost:1"}]}`))
	if err != nil || got != "" {
		t.Errorf("got %q, %v for an upstream on this machine, which no proxy serves", got, err)
	}
}

func TestWhatIsNoConfigurationIsAnError(t *testing.T) {
	for _, config := range []string{
		`[]`, `{"transport":1}`, `{"transport":{"protocol":"http","keep_alive":1}}`, `{"transport":{"protocol":"http","dial_timeout":[]}}`,
		`{"load_balancing":[]}`, `{"load_balancing":{"selection_policy":1}}`, `{"health_checks":1}`, `{"upstreams":{}}`, `{"upstreams":[1]}`,
		`{"flush_interval":[]}`, `{"trusted_proxies":["x"]}`, `{"trusted_proxies":1}`,
	} {
		if _, err := Obstacle(json.RawMessage(config)); err == nil {
			t.Errorf("%s is taken", config)
		}
	}
}

func TestConnectionsAreKeptAsCaddyKeepsThem(t *testing.T) {
	for config, want := range map[string]struct {
		idle           int
		timeout, reply time.Duration
	}{
		`{}`: {32, 2 * time.Minute, 0},
		`{"transport":{"protocol":"http","response_header_timeout":"1m","keep_alive":{"max_idle_conns_per_host":9,"idle_timeout":"4s"}}}`: {9, 4 * time.Second, time.Minute},
	} {
		found, err := examine(json.RawMessage(config))
		if err != nil {
			t.Fatal(err)
		}
		got := found.options("tcp", "a:1")
		if got.MaxIdle != want.idle || got.IdleTimeout != want.timeout || got.HeaderTimeout != want.reply {
			t.Errorf("%s: got %+v", config, got)
		}
	}
}
