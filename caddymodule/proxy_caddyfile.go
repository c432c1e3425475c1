package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/penstockhq/penstock/caddymodule/balance"
	"github.com/penstockhq/penstock/caddymodule/forward"
)

func init() {
	httpcaddyfile.RegisterDirective("penstock_proxy", parseProxy)
	httpcaddyfile.RegisterDirectiveOrder("penstock_proxy", httpcaddyfile.After, "reverse_proxy")
}

// parseProxy reads the directive penstock_proxy, which is a gate in front of a
// reverse proxy:
//
//	penstock_proxy [<matcher>] [<upstreams...>] {
//	    gate {
//	        # options of the directive penstock
//	    }
//	    # options of the directive reverse_proxy
//	}
//
// It becomes one route with two handlers: the gate, and penstock_forward, or reverse_proxy where
// it has options that package forward does not know. Unless told otherwise the proxy
// balances with the policy penstock, tries another upstream for a call that reached
// none, and keeps enough idle connections for many streams.
//
// In a named route, &(name), a route without a matcher gets one handler more, which holds
// the two: see wholeRoute.
func parseProxy(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, err
	}
	h.Next() // the directive's name again: extracting the matcher rewinds
	gateTokens, proxyTokens, err := splitGate(h.NextSegment())
	if err != nil {
		return nil, err
	}
	gate := new(Gate)
	if gateTokens != nil {
		if err := gate.UnmarshalCaddyfile(caddyfile.NewDispenser(gateTokens)); err != nil {
			return nil, err
		}
	}
	if err := checkOptions(proxyTokens); err != nil {
		return nil, err
	}
	proxy := new(reverseproxy.Handler)
	if err := proxy.UnmarshalCaddyfile(caddyfile.NewDispenser(proxyTokens)); err != nil {
		return nil, err
	}
	if err := proxy.FinalizeUnmarshalCaddyfile(h); err != nil {
		return nil, err
	}
	if len(proxy.Upstreams) == 0 && proxy.DynamicUpstreamsRaw == nil {
		head := caddyfile.NewDispenser(proxyTokens)
		head.Next() // to its line
		return nil, head.Err("no upstream; name one, for example: penstock_proxy localhost:9100")
	}
	if err := checkPolicy(h, proxy, proxyTokens); err != nil {
		return nil, err
	}
	if err := setProxyDefaults(proxy, optionsOf(proxyTokens)); err != nil {
		return nil, err
	}
	forwarding, err := forwardFor(proxy)
	if err != nil {
		return nil, err
	}
	route := caddyhttp.Route{HandlersRaw: []json.RawMessage{
		caddyconfig.JSONModuleObject(gate, "handler", "penstock", nil), forwarding,
	}}
	if matcher == nil && h.IsNamedRoute() {
		route = wholeRoute(route)
	}
	if matcher != nil {
		route.MatcherSetsRaw = []caddy.ModuleMap{matcher}
	}
	return []httpcaddyfile.ConfigValue{{Class: "route", Value: route}}, nil
}

// wholeRoute returns a route of a single handler that does what all handlers of route do. Where
// a named route comes down to one route without a matcher, Caddy 2.11.9 keeps only the first
// handler of it, which would be the gate with nothing behind it. The new route is terminal, so
// that Caddy does not join it with routes of other directives; nothing comes after a proxy.
func wholeRoute(route caddyhttp.Route) caddyhttp.Route {
	whole := &caddyhttp.Subroute{Routes: caddyhttp.RouteList{route}}
	return caddyhttp.Route{
		HandlersRaw: []json.RawMessage{caddyconfig.JSONModuleObject(whole, "handler", "subroute", nil)},
		Terminal:    true,
	}
}

// forwardFor returns the handler that forwards for a proxy: the one of package forward if it
// can, else the proxy itself.
func forwardFor(proxy *reverseproxy.Handler) (json.RawMessage, error) {
	raw := caddyconfig.JSONModuleObject(proxy, "handler", "reverse_proxy", nil)
	obstacle, err := forward.Obstacle(raw)
	if err != nil {
		return nil, err
	}
	if obstacle != "" {
		caddy.Log().Named("penstock_proxy").Debug("every call goes through reverse_proxy", zap.String("because_of", obstacle))
		return raw, nil
	}
	return caddyconfig.JSONModuleObject(&forward.Handler{ProxyRaw: raw}, "handler", "penstock_forward", nil), nil
}

// splitGate separates the block gate, nil if there is none, from what belongs to
// reverse_proxy.
func splitGate(tokens []caddyfile.Token) (gate, proxy []caddyfile.Token, err error) {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	head := 1 + len(d.RemainingArgs())
	if !d.NextBlock(0) {
		return nil, tokens, nil
	}
	proxy = slices.Clone(tokens[:head+1]) // the opening brace too
	for more := true; more; more = d.NextBlock(0) {
		if d.Val() != "gate" {
			proxy = append(proxy, d.NextSegment()...)
			continue
		}
		if gate != nil {
			return nil, nil, d.Err("gate is already specified")
		}
		gate = d.NextSegment()
	}
	return gate, append(proxy, tokens[len(tokens)-1]), nil
}

// checkOptions says where an option belongs that reverse_proxy does not have.
func checkOptions(tokens []caddyfile.Token) error {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	d.RemainingArgs()
	for d.NextBlock(0) {
		if _, known := gateOptions[d.Val()]; known && !isProxyOption(d.Token()) {
			return d.Errf("%s belongs into the block gate of penstock_proxy", d.Val())
		}
		d.NextSegment()
	}
	return nil
}

// isProxyOption reports whether reverse_proxy has an option of this name. Its own parser
// knows; whatever else it says about an option without arguments does not matter.
func isProxyOption(option caddyfile.Token) bool {
	directive, opening, closing := option, option, option
	directive.Text, opening.Text, closing.Text = "reverse_proxy", "{", "}"
	option.Line++
	closing.Line += 2
	err := new(reverseproxy.Handler).UnmarshalCaddyfile(
		caddyfile.NewDispenser([]caddyfile.Token{directive, opening, option, closing}))
	return err == nil || !strings.Contains(err.Error(), "unrecognized subdirective")
}

// checkPolicy compares the upstreams that the policy penstock names with those
// of the proxy, and their models with those of the global option, while the line
// of a mistake is still known. Loading the configuration checks the same again,
// for configurations that are not written as a Caddyfile.
func checkPolicy(h httpcaddyfile.Helper, proxy *reverseproxy.Handler, tokens []caddyfile.Token) error {
	if proxy.DynamicUpstreamsRaw != nil {
		return nil
	}
	addresses := make([]string, len(proxy.Upstreams))
	for i, upstream := range proxy.Upstreams {
		addresses[i] = upstream.Dial
	}
	app, err := adaptedApp(h)
	if err != nil {
		return err
	}
	drained := 0
	return eachPolicyUpstream(tokens, func(d *caddyfile.Dispenser, upstream *balance.Upstream) error {
		if upstream.Weight != nil && *upstream.Weight == 0 {
			if drained++; drained == len(addresses) {
				return d.Err("every upstream has the weight 0: no call could go anywhere")
			}
		}
		if !slices.Contains(addresses, upstream.Address) {
			return d.Errf("upstream %s is not an upstream of its proxy, which has %s",
				upstream.Address, strings.Join(addresses, ", "))
		}
		for _, model := range upstream.Models {
			if err := app.CheckModel(model); err != nil {
				return d.Errf("upstream %s: %w", upstream.Address, err)
			}
		}
		return nil
	})
}

// eachPolicyUpstream calls check for each upstream in the block of lb_policy
// penstock, with a dispenser that stands on its line.
func eachPolicyUpstream(tokens []caddyfile.Token, check func(*caddyfile.Dispenser, *balance.Upstream) error) error {
	d := caddyfile.NewDispenser(tokens)
	d.Next()
	d.RemainingArgs()
	for d.NextBlock(0) {
		segment := d.NextSegment()
		if len(segment) < 2 || segment[0].Text != "lb_policy" || segment[1].Text != "penstock" {
			continue
		}
		lines := caddyfile.NewDispenser(segment[1:])
		lines.Next()
		for lines.NextBlock(0) {
			one := slices.Concat(segment[1:3], lines.NextSegment(), segment[len(segment)-1:])
			policy := new(balance.Policy)
			if err := policy.UnmarshalCaddyfile(caddyfile.NewDispenser(one)); err != nil {
				return err
			}
			for i := range policy.Upstreams {
				if err := check(lines, &policy.Upstreams[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// adaptedApp returns the app as the global option describes it so far.
func adaptedApp(h httpcaddyfile.Helper) (*App, error) {
	app := new(App)
	if option, ok := h.Option("penstock").(httpcaddyfile.App); ok {
		if err := json.Unmarshal(option.Value, app); err != nil {
			return nil, fmt.Errorf("reading the global option penstock: %w", err)
		}
	}
	return app, nil
}
