package caddymodule

import (
	"cmp"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/penstockhq/penstock/caddymodule/balance"
	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// AddPolicy implements balance.Application.
func (a *App) AddPolicy(policy *balance.Policy) { a.policies = append(a.policies, policy) }

// announce logs what this configuration serves, once it does.
func (a *App) announce() {
	size := a.engine.Ledger.Size()
	a.log.Info("serving", "version", runtime.Version(),
		"ledger", a.engine.Identity(), "entries", size.Entries, "accounts", size.Accounts, "keys", size.Keys,
		"models", a.priceList(), "upstreams", a.upstreamList())
}

// warnOfSharing warns of another process that listens where this configuration does. Caddy
// lets several processes share an address, and the calls that reach the other one meet
// other keys, limits and balances.
func (a *App) warnOfSharing() {
	if a.engine.TookOver() {
		return // the other one is about to end
	}
	shared, err := runtime.Shared(a.listenAddresses())
	if err != nil {
		a.log.Debug("cannot see who else listens", "error", err)
	}
	for _, address := range shared {
		a.log.Warn("another process listens on this address too and gets a part of the calls: "+
			"a second instance with another data directory knows other keys, limits and balances", "address", address.String())
	}
}

// listenAddresses returns the addresses of all servers that are given as numbers.
func (a *App) listenAddresses() []netip.AddrPort {
	module, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil // no servers
	}
	var addresses []netip.AddrPort
	for _, server := range module.(*caddyhttp.App).Servers {
		for _, listen := range server.Listen {
			parsed, err := caddy.ParseNetworkAddress(listen)
			if err != nil || parsed.IsUnixNetwork() {
				continue
			}
			host, err := netip.ParseAddr(cmp.Or(parsed.Host, "0.0.0.0"))
			if err != nil {
				continue
			}
			for port := parsed.StartPort; port <= parsed.EndPort && port > 0; port++ {
				addresses = append(addresses, netip.AddrPortFrom(host, uint16(port)))
			}
		}
	}
	return addresses
}

// priceList returns the models with their prices.
func (a *App) priceList() []string {
	if len(a.Models) == 0 {
		return []string{"any: " + priceText(defaultPrice)}
	}
	list := make([]string, 0, len(a.Models))
	for _, name := range a.modelNames() {
		list = append(list, name+": "+a.Models[name].priceText(a.configuration.Prices[name]))
	}
	return list
}

// priceText writes the price of a model with its units.
func (m *Model) priceText(price ledger.Price) string {
	if m == nil || m.unit() == middleware.UnitToken {
		return priceText(price)
	}
	each := m.Price.Image + " an image"
	if m.unit() == middleware.UnitAudioSecond {
		each = m.Price.AudioSecond + " a second of sound"
	}
	price.Input, price.Output = 0, 0
	if rest := priceText(price); rest != "free" {
		return rest + ", " + each
	}
	return each
}

// priceText writes a price with its units.
func priceText(price ledger.Price) string {
	var parts []string
	for _, part := range []struct {
		amount ledger.Micro
		unit   string
	}{
		{price.Minute, "a minute"},
		{price.Input, "a million input tokens"},
		{price.CachedInput, "a million cached input tokens"},
		{price.Output, "a million output tokens"},
		{price.Request, "a request"},
	} {
		if part.amount > 0 {
			parts = append(parts, part.amount.String()+" "+part.unit)
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "free")
}

// upstreamList returns the upstreams of the policies penstock, each with its kind.
func (a *App) upstreamList() []string {
	list := []string{}
	for _, policy := range a.policies {
		for _, upstream := range policy.Listed() {
			list = append(list, upstream.Address+" ("+cmp.Or(string(upstream.Kind), "any kind")+")")
		}
	}
	return list
}

// Interface guards
var _ balance.Application = (*App)(nil)
