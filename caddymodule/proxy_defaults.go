package caddymodule

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/penstockhq/penstock/caddymodule/balance"
)

// What penstock_proxy sets if the operator does not.
const (
	// idleConnectionsPerHost is how many idle connections to one upstream are kept.
	// Caddy's 32 makes a gateway with a few hundred streaming clients dial anew all
	// the time.
	idleConnectionsPerHost = 1024
	// idleTimeout is how long a connection is kept that nobody uses. vLLM, SGLang and
	// llama-server close theirs after 5 s; a call that goes out on a connection at
	// that moment would fail.
	idleTimeout = 4 * time.Second
	// retries is how many other upstreams are tried. Caddy tries another one only for
	// a call that reached none: no connection was made.
	retries = 2
	// failDuration is for how long Caddy's passive health checks take an upstream out
	// of the pool after a failure, for the policies that keep no calls away themselves.
	// It is short because a call that ran into its time limit counts as a failure too.
	failDuration = 3 * time.Second
)

// optionsOf returns the names of the options in the block of a directive.
func optionsOf(tokens []caddyfile.Token) map[string]bool {
	names := make(map[string]bool)
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	d.RemainingArgs()
	for d.NextBlock(0) {
		names[d.Val()] = true
		d.NextSegment()
	}
	return names
}

// setProxyDefaults sets what the operator left open; named are the options that the
// operator has set.
func setProxyDefaults(proxy *reverseproxy.Handler, named map[string]bool) error {
	if proxy.LoadBalancing == nil {
		proxy.LoadBalancing = new(reverseproxy.LoadBalancing)
	}
	balancing := proxy.LoadBalancing
	several := len(proxy.Upstreams) > 1 || proxy.DynamicUpstreamsRaw != nil
	if several && !named["lb_retries"] && !named["lb_try_duration"] {
		balancing.Retries = retries
		if proxy.DynamicUpstreamsRaw == nil {
			balancing.Retries = min(retries, len(proxy.Upstreams)-1)
		}
	}
	policy, err := nameIn(balancing.SelectionPolicyRaw, "policy")
	if err != nil {
		return fmt.Errorf("reading the policy: %w", err)
	}
	switch {
	case policy == "":
		balancing.SelectionPolicyRaw = caddyconfig.JSONModuleObject(new(balance.Policy), "policy", "penstock", nil)
	case policy != "penstock" && several && !named["fail_duration"]:
		setPassiveHealth(proxy)
	}
	return setTransport(proxy)
}

// setPassiveHealth lets an upstream rest that fails.
func setPassiveHealth(proxy *reverseproxy.Handler) {
	if proxy.HealthChecks == nil {
		proxy.HealthChecks = new(reverseproxy.HealthChecks)
	}
	if proxy.HealthChecks.Passive == nil {
		proxy.HealthChecks.Passive = new(reverseproxy.PassiveHealthChecks)
	}
	proxy.HealthChecks.Passive.FailDuration = caddy.Duration(failDuration)
}

// setTransport sets how connections are kept, if they are Caddy's own.
func setTransport(proxy *reverseproxy.Handler) error {
	protocol, err := nameIn(proxy.TransportRaw, "protocol")
	if err != nil {
		return fmt.Errorf("reading the transport: %w", err)
	}
	transport := new(reverseproxy.HTTPTransport)
	switch protocol {
	case "":
	case "http":
		if err := json.Unmarshal(proxy.TransportRaw, transport); err != nil {
			return fmt.Errorf("reading the transport: %w", err)
		}
	default:
		return nil // other transports have settings of their own
	}
	if transport.KeepAlive == nil {
		transport.KeepAlive = new(reverseproxy.KeepAlive)
	}
	keep := transport.KeepAlive
	if keep.Enabled != nil && !*keep.Enabled {
		return nil
	}
	if keep.MaxIdleConnsPerHost == 0 {
		keep.MaxIdleConnsPerHost = idleConnectionsPerHost
	}
	if keep.IdleConnTimeout == 0 {
		keep.IdleConnTimeout = caddy.Duration(idleTimeout)
	}
	proxy.TransportRaw = caddyconfig.JSONModuleObject(transport, "protocol", "http", nil)
	return nil
}

// nameIn returns the name of the module that raw configures, empty if there is none.
func nameIn(raw json.RawMessage, key string) (string, error) {
	if raw == nil {
		return "", nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return "", err
	}
	var name string
	err := json.Unmarshal(fields[key], &name)
	return name, err
}
