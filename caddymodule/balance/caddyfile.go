package balance

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// words are the properties of an upstream. They end a list of models, so a
// model cannot have one of these names.
var words = []string{"weight", "slots", "models", "kind", "kv_tokens", "trusted", "untrusted"}

// options of the policy's block.
var options = []string{"upstream", "cool_down", "gateways", "seed", "share_prompts", "session_header"}

// UnmarshalCaddyfile sets up the policy from Caddyfile tokens. Syntax:
//
//	lb_policy penstock [<strategy>] {
//	    upstream <address> [weight <n>] [slots <n>] [models <names...>] [kind <kind>] [kv_tokens <n>] [trusted|untrusted]
//	    cool_down <first>|off [<longest>]
//	    gateways <n>
//	    seed <n>
//	    share_prompts
//	    session_header <name>
//	}
//
// A strategy is prefix_work, least_work, weighted_random, p2c, prefix_hash or session.
// An address is written as reverse_proxy takes it; a range of ports stands for
// all of them. A kind is penstock, vllm, sglang, llamacpp, ollama or tgi.
func (p *Policy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the policy's name
	if d.NextArg() {
		p.Strategy = Strategy(d.Val())
		if err := p.Strategy.Validate(); err != nil {
			return d.Errf("lb_policy penstock: %w", err)
		}
	}
	if d.NextArg() {
		return d.Errf("lb_policy penstock: unexpected argument %q; upstreams go into a block", d.Val())
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		name := d.Val()
		if seen[name] && name != "upstream" {
			return d.Errf("%s is already specified", name)
		}
		seen[name] = true
		if err := p.unmarshalOption(d, name); err != nil {
			return err
		}
	}
	if seen["session_header"] && p.Strategy != StrategySession {
		return d.Errf("session_header belongs to lb_policy penstock session")
	}
	return nil
}

func (p *Policy) unmarshalOption(d *caddyfile.Dispenser, name string) error {
	switch name {
	case "upstream":
		return p.unmarshalUpstream(d)
	case "cool_down":
		return p.unmarshalCoolDown(d)
	case "gateways":
		gateways, err := number(d, 1, maxGateways)
		p.Gateways = int(gateways)
		return err
	case "seed":
		seed, err := number(d, 1, 1<<63-1)
		p.Seed = seed
		return err
	case "share_prompts":
		if p.SharePrompts = true; d.NextArg() {
			return d.ArgErr()
		}
		return nil
	case "session_header":
		if !d.AllArgs(&p.SessionHeader) {
			return d.ArgErr()
		}
		return nil
	}
	return d.Errf("unknown option of lb_policy penstock: %q; known: %s", name, strings.Join(options, ", "))
}

// number reads the only argument of an option, a whole number.
func number(d *caddyfile.Dispenser, least, most uint64) (uint64, error) {
	name := d.Val()
	var text string
	if !d.AllArgs(&text) {
		return 0, d.ArgErr()
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil || value < least || value > most {
		return 0, d.Errf("%s: %q is not a whole number from %d to %d", name, text, least, most)
	}
	return value, nil
}

// unmarshalCoolDown reads how long upstreams that fail get no calls.
func (p *Policy) unmarshalCoolDown(d *caddyfile.Dispenser) error {
	durations := d.RemainingArgs()
	switch {
	case len(durations) == 1 && durations[0] == "off":
		p.CoolDown = -1
		return nil
	case len(durations) == 0 || len(durations) > 2:
		return d.ArgErr()
	}
	for i, text := range durations {
		duration, err := caddy.ParseDuration(text)
		if err != nil || duration <= 0 {
			return d.Errf("cool_down: %q is not a duration above zero, such as 1s; off switches it off", text)
		}
		*[]*caddy.Duration{&p.CoolDown, &p.MaxCoolDown}[i] = caddy.Duration(duration)
	}
	if len(durations) == 2 && p.MaxCoolDown < p.CoolDown {
		return d.Errf("cool_down: the longest, %s, is shorter than the first, %s", durations[1], durations[0])
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
		u.Weight = new(int)
		return u.wholeNumber(d, word, 0, MaxWeight, u.Weight)
	case "slots":
		return u.wholeNumber(d, word, 1, 1<<31-1, &u.Slots)
	case "kv_tokens":
		return u.wholeNumber(d, word, 1, MaxKVTokens, &u.KVTokens)
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

func (u *Upstream) wholeNumber(d *caddyfile.Dispenser, word string, minimum, maximum int, value *int) error {
	if !d.NextArg() {
		return d.Errf("upstream %s: %s has no value", u.Address, word)
	}
	number, err := strconv.Atoi(d.Val())
	if err != nil || number < minimum || number > maximum {
		return d.Errf("upstream %s: %s: %q is not a whole number from %d to %d", u.Address, word, d.Val(), minimum, maximum)
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
var _ caddyfile.Unmarshaler = (*Policy)(nil)
