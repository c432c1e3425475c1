package caddymodule

import (
	"cmp"
	"strings"

	"github.com/penstockhq/penstock/caddymodule/balance"
	"github.com/penstockhq/penstock/ledger"
)

// AddPolicy implements balance.Application.
func (a *App) AddPolicy(policy *balance.Policy) { a.policies = append(a.policies, policy) }

// announce logs what this configuration serves, once it does.
func (a *App) announce() {
	size := a.engine.Ledger.Size()
	a.log.Info("serving",
		"ledger", a.engine.Identity(), "entries", size.Entries, "accounts", size.Accounts, "keys", size.Keys,
		"models", a.priceList(), "upstreams", a.upstreamList())
}

// priceList returns the models with their prices.
func (a *App) priceList() []string {
	if len(a.Models) == 0 {
		return []string{"any: " + priceText(defaultPrice)}
	}
	list := make([]string, 0, len(a.Models))
	for _, name := range a.modelNames() {
		list = append(list, name+": "+priceText(a.configuration.Prices[name]))
	}
	return list
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
