package balance

// Caddy's side of the package: the module, its Caddyfile syntax, and the upstreams of a proxy seen
// as a Pool. No other file knows Caddy.

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/penstockhq/penstock/middleware"
)

func init() {
	caddy.RegisterModule(new(Policy))
}

// Policy chooses among the upstreams of a reverse proxy that have the model of
// the call and are available, at random in proportion to their weights. Weights
// belong to addresses: an upstream that is down changes nothing in the
// proportions of the others.
//
// The policy tells the gate which upstream it chose, so that the gate knows
// whether to believe its figures. Without a gate in front it works for calls of every
// model alike.
type Policy struct {
	// What is known about the upstreams. Default: an upstream of the proxy that is
	// not listed has the weight 1, serves every model and is not trusted.
	Upstreams []Upstream `json:"upstreams,omitempty"`

	listed    listing
	addresses []string  // of the proxy's own upstreams
	weighted  *Weighted // for exactly these addresses
}

// CaddyModule implements caddy.Module.
func (*Policy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.selection_policies.penstock",
		New: func() caddy.Module { return new(Policy) },
	}
}

// modelChecker is implemented by the app that knows the models.
type modelChecker interface {
	// CheckModel returns an error if callers cannot use a model of that name.
	CheckModel(name string) error
}

// Provision implements caddy.Provisioner.
func (p *Policy) Provision(ctx caddy.Context) error {
	var err error
	if p.listed, err = newListing(p.Upstreams); err != nil {
		return err
	}
	if err := p.checkModels(ctx); err != nil {
		return err
	}
	for _, module := range slices.Backward(ctx.Modules()) {
		if proxy, ok := module.(*reverseproxy.Handler); ok {
			return p.bind(proxy)
		}
	}
	return nil
}

// checkModels refuses models that no caller could ask for.
func (p *Policy) checkModels(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured("penstock")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return err
	}
	for i := range p.Upstreams {
		for _, model := range p.Upstreams[i].Models {
			if err := app.(modelChecker).CheckModel(model); err != nil {
				return fmt.Errorf("upstream %s: %w", p.Upstreams[i].Address, err)
			}
		}
	}
	return nil
}

// bind prepares the choice among the static upstreams of a proxy.
func (p *Policy) bind(proxy *reverseproxy.Handler) error {
	known := make(map[string]bool)
	for _, upstream := range proxy.Upstreams {
		p.addresses = append(p.addresses, upstream.Dial)
		known[upstream.Dial] = true
	}
	if proxy.DynamicUpstreamsRaw == nil {
		for i := range p.Upstreams {
			if address := p.Upstreams[i].Address; !known[address] {
				return fmt.Errorf("upstream %s is not an upstream of its reverse_proxy, which has %s",
					address, strings.Join(p.addresses, ", "))
			}
		}
	}
	var err error
	p.weighted, err = NewWeighted(p.describe(proxy.Upstreams))
	return err
}

// describe returns what is known about each upstream of a pool.
func (p *Policy) describe(pool reverseproxy.UpstreamPool) []Upstream {
	described := make([]Upstream, len(pool))
	for i, upstream := range pool {
		described[i] = p.listed.find(upstream.Dial)
	}
	return described
}

// Select implements reverseproxy.Selector.
func (p *Policy) Select(pool reverseproxy.UpstreamPool, r *http.Request, _ http.ResponseWriter) *reverseproxy.Upstream {
	weighted := p.weighted
	if !p.isBound(pool) {
		// Dynamic upstreams: the pool of this very call.
		var err error
		if weighted, err = NewWeighted(p.describe(pool)); err != nil {
			return nil
		}
	}
	i, ok := weighted.Pick(modelOf(r), upstreams(pool))
	if !ok {
		return nil
	}
	note(r, &weighted.upstreams[i])
	return pool[i]
}

// isBound reports whether a pool has just the upstreams that the choice was
// prepared for.
func (p *Policy) isBound(pool reverseproxy.UpstreamPool) bool {
	if p.weighted == nil || len(pool) != len(p.addresses) {
		return false
	}
	for i, upstream := range pool {
		if upstream.Dial != p.addresses[i] {
			return false
		}
	}
	return true
}

// upstreams is a Pool of Caddy's upstreams.
type upstreams reverseproxy.UpstreamPool

// Available implements Pool.
func (u upstreams) Available(i int) bool { return u[i].Available() }

// InFlight implements Pool.
func (u upstreams) InFlight(i int) int { return u[i].NumRequests() }

// modelOf returns the model that a request's call runs, empty if it runs none.
func modelOf(r *http.Request) string {
	call, _ := middleware.CallFrom(r.Context())
	return call.Model
}

// note tells the gate which upstream gets the call.
func note(r *http.Request, chosen *Upstream) {
	middleware.NoteUpstream(r.Context(), middleware.Upstream{
		Address: chosen.Address, Kind: string(chosen.Kind), Trusted: chosen.IsTrusted(),
	})
}

// words are the properties of an upstream. They end a list of models, so a
// model cannot have one of these names.
var words = []string{"weight", "slots", "models", "kind", "trusted", "untrusted"}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens. Syntax:
//
//	lb_policy penstock {
//	    upstream <address> [weight <n>] [slots <n>] [models <names...>] [kind <kind>] [trusted|untrusted]
//	}
//
// An address is written as reverse_proxy takes it; a range of ports stands for
// all of them. A kind is penstock, vllm, sglang, llamacpp, ollama or tgi.
func (p *Policy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the policy's name
	if d.NextArg() {
		return d.Errf("lb_policy penstock: unexpected argument %q; upstreams go into a block", d.Val())
	}
	for d.NextBlock(0) {
		if d.Val() != "upstream" {
			return d.Errf("unknown option of lb_policy penstock: %q; known: upstream", d.Val())
		}
		if err := p.unmarshalUpstream(d); err != nil {
			return err
		}
	}
	return nil
}

func (p *Policy) unmarshalUpstream(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	addresses, err := dialAddresses(d)
	if err != nil {
		return err
	}
	upstream := Upstream{Address: d.Val()}
	seen := make(map[string]bool)
	for d.NextArg() {
		word := d.Val()
		property := word
		if word == "untrusted" {
			property = "trusted"
		}
		if seen[property] {
			return d.Errf("upstream %s: %s is already specified", upstream.Address, property)
		}
		seen[property] = true
		if err := upstream.unmarshalProperty(d, word); err != nil {
			return err
		}
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("upstream %s takes no block", upstream.Address)
	}
	for _, address := range addresses {
		upstream.Address = address
		if err := upstream.Validate(); err != nil {
			return d.WrapErr(err)
		}
		if slices.ContainsFunc(p.Upstreams, func(u Upstream) bool { return u.Address == address }) {
			return d.Errf("upstream %s is already specified", address)
		}
		p.Upstreams = append(p.Upstreams, upstream)
	}
	return nil
}

func (u *Upstream) unmarshalProperty(d *caddyfile.Dispenser, word string) error {
	switch word {
	case "weight":
		return u.wholeNumber(d, word, MaxWeight, &u.Weight)
	case "slots":
		return u.wholeNumber(d, word, 1<<31-1, &u.Slots)
	case "models":
		for d.NextArg() {
			if slices.Contains(words, d.Val()) {
				d.Prev()
				break
			}
			u.Models = append(u.Models, d.Val())
		}
		if len(u.Models) == 0 {
			return d.Errf("upstream %s: models has no value", u.Address)
		}
		return nil
	case "kind":
		if !d.NextArg() {
			return d.Errf("upstream %s: kind has no value", u.Address)
		}
		u.Kind = Kind(d.Val())
		return nil
	case "trusted", "untrusted":
		trusted := word == "trusted"
		u.Trusted = &trusted
		return nil
	}
	return d.Errf("upstream %s: unknown property %q; known: %s", u.Address, word, strings.Join(words, ", "))
}

func (u *Upstream) wholeNumber(d *caddyfile.Dispenser, word string, maximum int, value *int) error {
	if !d.NextArg() {
		return d.Errf("upstream %s: %s has no value", u.Address, word)
	}
	number, err := strconv.Atoi(d.Val())
	if err != nil || number < 1 || number > maximum {
		return d.Errf("upstream %s: %s: %q is not a whole number from 1 to %d", u.Address, word, d.Val(), maximum)
	}
	*value = number
	return nil
}

// dialAddresses returns the addresses that reverse_proxy makes of the current
// token. Its own parser reads the token, so that "http://localhost" here is the
// same upstream as there.
func dialAddresses(d *caddyfile.Dispenser) ([]string, error) {
	directive, address := d.Token(), d.Token()
	directive.Text = "reverse_proxy"
	proxy := new(reverseproxy.Handler)
	if err := proxy.UnmarshalCaddyfile(caddyfile.NewDispenser([]caddyfile.Token{directive, address})); err != nil {
		return nil, err
	}
	addresses := make([]string, len(proxy.Upstreams))
	for i, upstream := range proxy.Upstreams {
		addresses[i] = upstream.Dial
	}
	return addresses, nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Policy)(nil)
	_ caddyfile.Unmarshaler = (*Policy)(nil)
	_ reverseproxy.Selector = (*Policy)(nil)
)
