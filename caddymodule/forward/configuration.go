package forward

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/penstockhq/penstock/caddymodule/forward/internal/wire"
)

// What of a reverse_proxy the handler can do itself, by the names in its JSON. An option that
// is not here, today's or a future one, leaves everything to reverse_proxy.
var (
	known = map[string][]string{
		"":               {"handler", "transport", "load_balancing", "health_checks", "upstreams", "flush_interval", "trusted_proxies"},
		"transport":      {"protocol", "keep_alive", "dial_timeout", "dial_fallback_delay", "response_header_timeout", "max_response_header_size"},
		"keep_alive":     {"enabled", "probe_interval", "max_idle_conns_per_host", "idle_timeout"},
		"load_balancing": {"selection_policy", "retries"},
		"health_checks":  {"active"}, // which reverse_proxy does
		"upstreams":      {"dial"},
	}
	// policies are those that do not count the calls in flight, or count also ours.
	policies = []string{
		"", "penstock", "random", "round_robin", "weighted_round_robin", "first", "ip_hash", "client_ip_hash",
		"uri_hash", "query", "header", "cookie",
	}
	// networks are those that an upstream may be reached over.
	networks = []string{"tcp", "tcp4", "tcp6", "unix"}
)

// configuration is what a reverse_proxy was told.
type configuration struct {
	obstacle  string // what keeps the handler from forwarding; empty if nothing does
	flush     bool
	trusted   []netip.Prefix
	transport reverseproxy.HTTPTransport
}

// Obstacle names the option of a reverse_proxy, given as JSON, because of which
// the handler could not forward for it; it is empty if there is none.
func Obstacle(proxy json.RawMessage) (string, error) {
	found, err := examine(proxy)
	if err != nil {
		return "", err
	}
	return found.obstacle, nil
}

// examine reads the JSON of a reverse_proxy.
func examine(raw json.RawMessage) (*configuration, error) {
	found := new(configuration)
	if !wire.Supported {
		found.obstacle = "the operating system"
		return found, nil
	}
	top, err := found.members("", raw)
	if err != nil {
		return nil, err
	}
	for _, step := range []func(map[string]json.RawMessage) error{
		found.examineTransport, found.examineBalancing, found.examineUpstreams, found.examineRest,
	} {
		if err := step(top); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// members returns the members of an object and notes those that are not known.
func (c *configuration) members(name string, raw json.RawMessage) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	if len(raw) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for member := range members {
		if !slices.Contains(known[name], member) {
			c.block(strings.TrimPrefix(name+"."+member, "."))
		}
	}
	return members, nil
}

// block notes an obstacle, the first one by name.
func (c *configuration) block(obstacle string) {
	if c.obstacle == "" || obstacle < c.obstacle {
		c.obstacle = obstacle
	}
}

func (c *configuration) examineTransport(top map[string]json.RawMessage) error {
	transport, err := c.members("transport", top["transport"])
	if err != nil || transport == nil {
		return err
	}
	if protocol := text(transport["protocol"]); protocol != "http" {
		c.block("transport " + protocol)
		return nil
	}
	if _, err := c.members("keep_alive", transport["keep_alive"]); err != nil {
		return err
	}
	if err := json.Unmarshal(top["transport"], &c.transport); err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	if keep := c.transport.KeepAlive; keep != nil && (keep.Enabled != nil && !*keep.Enabled || keep.MaxIdleConnsPerHost < 0) {
		c.block("keep_alive off")
	}
	return nil
}

func (c *configuration) examineBalancing(top map[string]json.RawMessage) error {
	balancing, err := c.members("load_balancing", top["load_balancing"])
	if err != nil {
		return err
	}
	var policy struct {
		Policy   string          `json:"policy"`
		Fallback json.RawMessage `json:"fallback"`
	}
	if raw := balancing["selection_policy"]; raw != nil {
		if err := json.Unmarshal(raw, &policy); err != nil {
			return err
		}
	}
	if !slices.Contains(policies, policy.Policy) || policy.Fallback != nil {
		c.block("policy " + policy.Policy)
	}
	_, err = c.members("health_checks", top["health_checks"])
	return err
}

func (c *configuration) examineUpstreams(top map[string]json.RawMessage) error {
	var upstreams []json.RawMessage
	if raw := top["upstreams"]; raw != nil {
		if err := json.Unmarshal(raw, &upstreams); err != nil {
			return fmt.Errorf("upstreams: %w", err)
		}
	}
	for _, raw := range upstreams {
		upstream, err := c.members("upstreams", raw)
		if err != nil {
			return err
		}
		dial := text(upstream["dial"])
		address, err := caddy.ParseNetworkAddress(dial)
		if err != nil || strings.Contains(dial, "{") || address.PortRangeSize() != 1 || !slices.Contains(networks, address.Network) {
			c.block("upstream " + dial)
			continue
		}
		target := &http.Request{URL: &url.URL{Scheme: "http", Host: address.JoinHostPort(0)}}
		if proxy, err := http.ProxyFromEnvironment(target); address.Network != "unix" && (proxy != nil || err != nil) {
			c.block("HTTP_PROXY")
		}
	}
	if len(upstreams) == 0 {
		c.block("no static upstream")
	}
	return nil
}

func (c *configuration) examineRest(top map[string]json.RawMessage) error {
	var rest struct {
		FlushInterval  caddy.Duration `json:"flush_interval"`
		TrustedProxies []string       `json:"trusted_proxies"`
	}
	for name, value := range map[string]any{"flush_interval": &rest.FlushInterval, "trusted_proxies": &rest.TrustedProxies} {
		if raw := top[name]; raw != nil {
			if err := json.Unmarshal(raw, value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if rest.FlushInterval > 0 {
		c.block("flush_interval")
	}
	c.flush = rest.FlushInterval < 0
	for _, text := range rest.TrustedProxies {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return fmt.Errorf("trusted_proxies: %w", err)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		c.trusted = append(c.trusted, prefix)
	}
	return nil
}

// text returns the string that raw holds, or its JSON if it holds something else.
func text(raw json.RawMessage) string {
	var value string
	if json.Unmarshal(raw, &value) != nil {
		return string(raw)
	}
	return value
}

// The defaults of Caddy's transport.
const (
	dialTimeout   = 3 * time.Second
	probeInterval = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	idlePerHost   = 32
)

// options returns how connections to an upstream are opened and kept.
func (c *configuration) options(network, address string) wire.Options {
	keep := reverseproxy.KeepAlive{}
	if c.transport.KeepAlive != nil {
		keep = *c.transport.KeepAlive
	}
	probe := or(keep.ProbeInterval, probeInterval)
	dialer := &net.Dialer{
		Timeout:         or(c.transport.DialTimeout, dialTimeout),
		FallbackDelay:   time.Duration(c.transport.FallbackDelay),
		KeepAlive:       probe,
		KeepAliveConfig: net.KeepAliveConfig{Enable: probe > 0, Interval: probe},
	}
	options := wire.Options{
		Dial:          func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, network, address) },
		MaxIdle:       keep.MaxIdleConnsPerHost,
		IdleTimeout:   or(keep.IdleConnTimeout, idleTimeout),
		HeaderTimeout: time.Duration(c.transport.ResponseHeaderTimeout),
		MaxHeader:     c.transport.MaxResponseHeaderSize,
	}
	if options.MaxIdle == 0 {
		options.MaxIdle = idlePerHost
	}
	return options
}

// or returns a duration, or its default if it is not set.
func or(duration caddy.Duration, standard time.Duration) time.Duration {
	if duration == 0 {
		return standard
	}
	return time.Duration(duration)
}
