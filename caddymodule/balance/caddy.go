package balance

// Caddy's side of the package: the module, and the upstreams of a proxy seen as a Pool. Its
// Caddyfile syntax is in caddyfile.go. No other file knows Caddy.

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

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
// whether to believe its figures, and learns from the gate which upstreams fail:
// these get no calls for a while, unless no other is left. Without a gate in front
// it works for calls of every model alike, and learns nothing.
type Policy struct {
	// What is known about the upstreams. Default: an upstream of the proxy that is
	// not listed has the weight 1, serves every model and is not trusted.
	Upstreams []Upstream `json:"upstreams,omitempty"`

	// How long an upstream gets no calls after one that it did not answer. After
	// that one call at a time tries it, and each failure doubles the wait. A negative
	// duration switches this off. It needs the gate in front. Default: 1s.
	CoolDown caddy.Duration `json:"cool_down,omitempty"`

	// The longest that an upstream gets no calls. Default: 30s.
	MaxCoolDown caddy.Duration `json:"max_cool_down,omitempty"`

	listed    listing
	addresses []string   // of the proxy's own upstreams
	weighted  *Weighted  // for exactly these addresses
	cooling   []*Cooling // for exactly these addresses
	pool      reverseproxy.UpstreamPool
	coolings  coolings
}

// CaddyModule implements caddy.Module.
func (*Policy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.selection_policies.penstock",
		New: func() caddy.Module { return new(Policy) },
	}
}

// Application is implemented by the app penstock, which knows the models and says how the
// upstreams are.
type Application interface {
	// CheckModel returns an error if callers cannot use a model of that name.
	CheckModel(name string) error
	// AddPolicy makes a policy of the same configuration known.
	AddPolicy(policy *Policy)
}

// Provision implements caddy.Provisioner.
func (p *Policy) Provision(ctx caddy.Context) error {
	var err error
	if p.listed, err = newListing(p.Upstreams); err != nil {
		return err
	}
	if err := p.join(ctx); err != nil {
		return err
	}
	p.coolings.first, p.coolings.longest = p.coolDowns()
	for _, module := range slices.Backward(ctx.Modules()) {
		if proxy, ok := module.(*reverseproxy.Handler); ok {
			return p.bind(proxy)
		}
	}
	return nil
}

// join makes the policy known to the app, if there is one, and refuses models that no
// caller could ask for.
func (p *Policy) join(ctx caddy.Context) error {
	module, err := ctx.AppIfConfigured("penstock")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return err
	}
	app := module.(Application)
	for i := range p.Upstreams {
		for _, model := range p.Upstreams[i].Models {
			if err := app.CheckModel(model); err != nil {
				return fmt.Errorf("upstream %s: %w", p.Upstreams[i].Address, err)
			}
		}
	}
	app.AddPolicy(p)
	return nil
}

// bind prepares the choice among the static upstreams of a proxy.
func (p *Policy) bind(proxy *reverseproxy.Handler) error {
	known := make(map[string]bool)
	p.pool = proxy.Upstreams
	for _, upstream := range proxy.Upstreams {
		p.addresses = append(p.addresses, upstream.Dial)
		p.cooling = append(p.cooling, p.coolings.find(upstream.Dial))
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

// coolDowns returns the first and the longest wait after failures, with the defaults.
func (p *Policy) coolDowns() (first, longest time.Duration) {
	first, longest = time.Duration(p.CoolDown), time.Duration(p.MaxCoolDown)
	if first == 0 {
		first = DefaultCoolDown
	}
	if longest == 0 {
		longest = DefaultMaxCoolDown
	}
	return first, longest
}

// Select implements reverseproxy.Selector. A second choice for the same call means that
// the first one failed.
func (p *Policy) Select(pool reverseproxy.UpstreamPool, r *http.Request, _ http.ResponseWriter) *reverseproxy.Upstream {
	failed := middleware.NoteRetry(r.Context())
	weighted, cooling := p.weighted, p.cooling
	if !p.isBound(pool) {
		// Dynamic upstreams: the pool of this very call.
		var err error
		if weighted, err = NewWeighted(p.describe(pool)); err != nil {
			return nil
		}
		cooling = make([]*Cooling, len(pool))
		for i, upstream := range pool {
			cooling[i] = p.coolings.find(upstream.Dial)
		}
	}
	i, ok := pick(weighted, modelOf(r), pool, cooling, failed.Address)
	if !ok {
		return nil
	}
	note(r, &weighted.upstreams[i], cooling[i])
	return pool[i]
}

// pick chooses among the upstreams that do not cool down. If none is left it is better
// to try one that does than to refuse the call, and better another one than that which
// has just failed.
func pick(weighted *Weighted, model string, pool reverseproxy.UpstreamPool, cooling []*Cooling, failed string) (int, bool) {
	for range len(pool) {
		i, ok := weighted.Pick(model, ready{pool, cooling})
		if !ok {
			break
		}
		if cooling[i].Take() {
			return i, true
		} // else another call has just gone to find out how it is
	}
	if failed != "" {
		if i, ok := weighted.Pick(model, others{pool, failed}); ok {
			return i, true
		}
	}
	return weighted.Pick(model, upstreams(pool))
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

// ready is a Pool of the upstreams that do not cool down.
type ready struct {
	upstreams reverseproxy.UpstreamPool
	cooling   []*Cooling
}

// Available implements Pool.
func (r ready) Available(i int) bool { return r.cooling[i].Ready() && r.upstreams[i].Available() }

// InFlight implements Pool.
func (r ready) InFlight(i int) int { return r.upstreams[i].NumRequests() }

// others is a Pool of all upstreams but one.
type others struct {
	upstreams reverseproxy.UpstreamPool
	except    string // address
}

// Available implements Pool.
func (o others) Available(i int) bool {
	return o.upstreams[i].Dial != o.except && o.upstreams[i].Available()
}

// InFlight implements Pool.
func (o others) InFlight(i int) int { return o.upstreams[i].NumRequests() }

// modelOf returns the model that a request's call runs, empty if it runs none.
func modelOf(r *http.Request) string {
	call, _ := middleware.CallFrom(r.Context())
	return call.Model
}

// note tells the gate which upstream gets the call, and who wants to know how it went.
func note(r *http.Request, chosen *Upstream, cooling *Cooling) {
	middleware.NoteUpstream(r.Context(), middleware.Upstream{
		Address: chosen.Address, Kind: string(chosen.Kind), Trusted: chosen.IsTrusted(), Observer: cooling,
	})
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Policy)(nil)
	_ reverseproxy.Selector = (*Policy)(nil)
)
