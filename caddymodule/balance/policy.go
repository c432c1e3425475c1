package balance

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
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
// whose figures to believe. Without a gate in front it works for calls of every
// model alike.
type Policy struct {
	// What is known about the upstreams. Default: an upstream of the proxy that is
	// not listed has the weight 1, serves every model and is not trusted.
	Upstreams []Upstream `json:"upstreams,omitempty"`

	listed    map[string]int // index into Upstreams, by address
	addresses []string       // of the proxy's own upstreams
	weighted  *Weighted      // for exactly these addresses
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
	p.listed = make(map[string]int, len(p.Upstreams))
	for i := range p.Upstreams {
		upstream := &p.Upstreams[i]
		if err := upstream.Validate(); err != nil {
			return err
		}
		if _, twice := p.listed[upstream.Address]; twice {
			return fmt.Errorf("upstream %s is listed twice", upstream.Address)
		}
		p.listed[upstream.Address] = i
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
		if at, ok := p.listed[upstream.Dial]; ok {
			described[i] = p.Upstreams[at]
		} else {
			described[i] = Upstream{Address: upstream.Dial}
		}
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

// Interface guards
var (
	_ caddy.Provisioner     = (*Policy)(nil)
	_ reverseproxy.Selector = (*Policy)(nil)
)

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
