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

	"github.com/penstockhq/penstock/caddymodule/internal/inflight"
	"github.com/penstockhq/penstock/middleware"
)

func init() {
	caddy.RegisterModule(new(Policy))
}

// Policy chooses the upstream of a reverse proxy that serves a call soonest, among those that
// have the call's model and are available. How it chooses is its strategy. Weights belong to
// addresses: an upstream that is down changes nothing in the proportions of the others.
//
// The policy learns from the gate what a call asks for, when its answer begins and when it
// is over, and so knows what is under way at each upstream, and which upstreams fail: these
// get no calls for a while, unless no other is left. The gate learns which upstream was chosen,
// and whether to believe its figures. Without a gate in front the policy knows only
// how many calls each upstream runs.
type Policy struct {
	// How to choose: `prefix_work` takes the upstream with the least work and with the
	// most of the prompt in its cache, `least_work` that with the least work,
	// `weighted_random` draws by weight, `p2c` takes the one with less work of two
	// that it draws, `prefix_hash` sends conversations that begin alike to one upstream, and
	// `session` all calls of a session. Default: `prefix_work`.
	Strategy Strategy `json:"strategy,omitempty"`

	// What is known about the upstreams. Default: an upstream of the proxy that is
	// not listed has the weight 1, serves every model and is not trusted.
	Upstreams []Upstream `json:"upstreams,omitempty"`

	// How long an upstream gets no calls after one that it did not answer. After
	// that one call at a time tries it, and each failure doubles the wait. A negative
	// duration switches this off. It needs the gate in front. Default: 1s.
	CoolDown caddy.Duration `json:"cool_down,omitempty"`

	// The longest that an upstream gets no calls. Default: 30s.
	MaxCoolDown caddy.Duration `json:"max_cool_down,omitempty"`

	// How many gateways share the upstreams and do not know of each other. With more
	// than one, all of them send conversations that none of them knows yet to the same
	// upstreams. Default: 1.
	Gateways int `json:"gateways,omitempty"`

	// The seed of the hashes of prompts, the same on all gateways. Default: 0.
	Seed uint64 `json:"seed,omitempty"`

	// Whether prompts of different accounts that are equal count as one. Say so if the
	// upstreams share their caches between accounts. Default: false.
	SharePrompts bool `json:"share_prompts,omitempty"`

	// The header that names the session, for the strategy `session`. Calls without it belong
	// together if their conversations begin alike. Default: none.
	SessionHeader string `json:"session_header,omitempty"`

	listed    listing
	addresses []string // of the proxy's own upstreams
	choice    *choice  // among exactly these addresses
	pool      reverseproxy.UpstreamPool
	coolings  coolings
	state     *State
	shared    bool // the state is counted in the pool of states
}

// maxGateways is far more than share upstreams anywhere.
const maxGateways = 1000

// states keeps what is known about upstreams from one configuration to the next.
var states = caddy.NewUsagePool()

// sharedState is the State of all policies of the process.
type sharedState struct{ *State }

// Destruct implements caddy.Destructor.
func (sharedState) Destruct() error { return nil }

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
	if err := p.prepare(); err != nil {
		return err
	}
	for _, module := range slices.Backward(ctx.Modules()) {
		if proxy, ok := module.(*reverseproxy.Handler); ok {
			return p.bind(proxy)
		}
	}
	return nil
}

// prepare checks the options and finds what is known about upstreams.
func (p *Policy) prepare() error {
	p.coolings.first, p.coolings.longest = p.coolDowns()
	if err := p.Strategy.Validate(); err != nil {
		return err
	}
	if p.Gateways < 0 || p.Gateways > maxGateways {
		return fmt.Errorf("gateways %d is not between 1 and %d", p.Gateways, maxGateways)
	}
	if p.SessionHeader != "" && p.Strategy != StrategySession {
		return fmt.Errorf("session_header %q belongs to the strategy session", p.SessionHeader)
	}
	known, _, err := states.LoadOrNew("state", func() (caddy.Destructor, error) { return sharedState{NewState()}, nil })
	if err != nil {
		return err
	}
	p.state, p.shared = known.(sharedState).State, true
	return nil
}

// Cleanup implements caddy.CleanerUpper.
func (p *Policy) Cleanup() error {
	if !p.shared {
		return nil
	}
	p.shared = false
	_, err := states.Delete("state")
	return err
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
	p.choice, err = p.choiceAmong(proxy.Upstreams)
	return err
}

// choiceAmong prepares the choice among the upstreams of a pool.
func (p *Policy) choiceAmong(pool reverseproxy.UpstreamPool) (*choice, error) {
	balancer, err := New(p.describe(pool), Options{
		Strategy: p.Strategy, Seed: p.Seed, Gateways: p.Gateways, SharePrompts: p.SharePrompts, State: p.state,
	})
	if err != nil {
		return nil, err
	}
	made := &choice{balancer: balancer, cooling: make([]*Cooling, len(pool))}
	for i, upstream := range pool {
		made.cooling[i] = p.coolings.find(upstream.Dial)
	}
	return made, nil
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
	among := p.choice
	if !p.isBound(pool) {
		// Dynamic upstreams: the pool of this very call.
		var err error
		if among, err = p.choiceAmong(pool); err != nil {
			return nil
		}
	}
	try := newAttempt(upstreams(pool), among.cooling)
	call := p.callOf(r)
	i, ok := among.choose(&call, try, failed.Address)
	if !ok {
		try.Release(0)
		return nil
	}
	chosen := &among.balancer.upstreams[i]
	if !middleware.NoteUpstream(r.Context(), middleware.Upstream{
		Address: chosen.Address, Kind: string(chosen.Kind), Trusted: chosen.IsTrusted(), Observer: try,
	}) {
		try.Release(0) // without a gate nobody says when the call is over
	}
	return pool[i]
}

// isBound reports whether a pool has just the upstreams that the choice was
// prepared for.
func (p *Policy) isBound(pool reverseproxy.UpstreamPool) bool {
	if p.choice == nil || len(pool) != len(p.addresses) {
		return false
	}
	for i, upstream := range pool {
		if upstream.Dial != p.addresses[i] {
			return false
		}
	}
	return true
}

// upstreams are Caddy's, as an attempt sees them.
type upstreams reverseproxy.UpstreamPool

// Available implements Pool.
func (u upstreams) Available(i int) bool { return u[i].Available() }

// InFlight implements Pool.
func (u upstreams) InFlight(i int) int { return inFlight(u[i]) }

// inFlight returns how many calls an upstream runs: those that pass through reverse_proxy,
// and those that do not.
func inFlight(u *reverseproxy.Upstream) int {
	return u.NumRequests() + int(inflight.Of(u.Dial).Load())
}

// callOf returns what is known about the call of a request.
func (p *Policy) callOf(r *http.Request) Call {
	call, _ := middleware.CallFrom(r.Context())
	known := Call{Model: call.Model, Owner: call.Owner, Tokens: call.InputTokens}
	if keepsPrompts(call.Operation) {
		known.Prompt = call.Prompt
	}
	if p.SessionHeader != "" {
		known.Session = r.Header.Get(p.SessionHeader)
	}
	return known
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Policy)(nil)
	_ caddy.CleanerUpper    = (*Policy)(nil)
	_ reverseproxy.Selector = (*Policy)(nil)
)
