package caddymodule

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/penstockhq/penstock/middleware/dialect"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("penstock", parseGate)
	// Before the directives that branch: ordered after them, a gate beside a
	// handle block would be walked around.
	httpcaddyfile.RegisterDirectiveOrder("penstock", httpcaddyfile.Before, "invoke")
}

func parseGate(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	gate := new(Gate)
	return gate, gate.UnmarshalCaddyfile(h.Dispenser)
}

// gateOptions are the readers of the gate's options.
var gateOptions = map[string]func(*Gate, *caddyfile.Dispenser) error{
	"max_body":          func(g *Gate, d *caddyfile.Dispenser) error { return oneSize(d, &g.MaxBody) },
	"hold_timeout":      func(g *Gate, d *caddyfile.Dispenser) error { return oneDuration(d, &g.HoldTimeout) },
	"dialect":           (*Gate).unmarshalDialect,
	"errors":            func(g *Gate, d *caddyfile.Dispenser) error { return oneOf(d, &g.Errors, errorsPassthrough) },
	"strict_estimate":   func(g *Gate, d *caddyfile.Dispenser) error { g.StrictEstimate = true; return noArgument(d) },
	"lenient_json":      func(g *Gate, d *caddyfile.Dispenser) error { g.LenientJSON = true; return noArgument(d) },
	"strict_members":    func(g *Gate, d *caddyfile.Dispenser) error { g.StrictMembers = true; return noArgument(d) },
	"inject_max_tokens": (*Gate).unmarshalInjectMaxTokens,
	"allow_unmetered":   (*Gate).unmarshalAllowUnmetered,
	"cors":              (*Gate).unmarshalCORS,
	"reply_headers":     (*Gate).unmarshalReplyHeaders,
	"fixed_cost":        (*Gate).unmarshalFixedCost,
	"translate":         (*Gate).unmarshalTranslate,
	"on_revoke":         func(g *Gate, d *caddyfile.Dispenser) error { return oneOf(d, &g.OnRevoke, "finish", "abort") },
}

// UnmarshalCaddyfile sets up the gate from Caddyfile tokens. Syntax:
//
//	penstock [<matcher>] {
//	    max_body          <size>
//	    hold_timeout      <duration>
//	    dialect           openai|anthropic|aquin|aixplain|ollama|llamacpp|tgi|sglang
//	    errors            passthrough
//	    strict_estimate
//	    strict_members
//	    lenient_json
//	    inject_max_tokens on|off
//	    allow_unmetered   <paths...>
//	    cors              <origins...>
//	    reply_headers     <names...>
//	    fixed_cost        <path> <credits>
//	    translate         off|messages|responses...
//	    on_revoke         finish|abort
//	}
func (g *Gate) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	directive := d.Val() // penstock, or gate in penstock_proxy
	if d.NextArg() {
		return d.Errf("%s: unexpected argument %q", directive, d.Val())
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		read, known := gateOptions[option]
		switch {
		case !known:
			return misplaced(d, directive)
		case seen[option] && option != "fixed_cost" && option != "allow_unmetered":
			return d.Errf("%s is already specified", option)
		}
		seen[option] = true
		if err := read(g, d); err != nil {
			return err
		}
		if d.NextBlock(1) {
			return d.Errf("%s takes no block", option)
		}
	}
	return nil
}

// misplaced returns the error for a word that is no option of the gate. In the block gate of
// a penstock_proxy it may be one of the proxy.
func misplaced(d *caddyfile.Dispenser, directive string) error {
	if directive == "gate" && isProxyOption(d.Token()) {
		return d.Errf("%s belongs into penstock_proxy, outside the block gate", d.Val())
	}
	return unknown(d, "option of the gate", slices.Sorted(maps.Keys(gateOptions)))
}

func (g *Gate) unmarshalDialect(d *caddyfile.Dispenser) error {
	if err := oneArgument(d, &g.Dialect); err != nil {
		return err
	}
	if _, known := dialect.ParseName(g.Dialect); !known {
		return d.Errf("dialect: unknown value %s", suggest(g.Dialect, dialect.Names()))
	}
	return nil
}

func (g *Gate) unmarshalInjectMaxTokens(d *caddyfile.Dispenser) error {
	var text string
	if err := oneOf(d, &text, "on", "off"); err != nil {
		return err
	}
	inject := text == "on"
	g.InjectMaxTokens = &inject
	return nil
}

func (g *Gate) unmarshalCORS(d *caddyfile.Dispenser) error {
	g.CORS = d.RemainingArgs()
	if len(g.CORS) == 0 {
		return d.ArgErr()
	}
	for _, origin := range g.CORS {
		if err := checkOrigin(origin); err != nil {
			return d.Errf("cors: %w", err)
		}
	}
	return nil
}

func (g *Gate) unmarshalReplyHeaders(d *caddyfile.Dispenser) error {
	g.ReplyHeaders = d.RemainingArgs()
	if len(g.ReplyHeaders) == 0 {
		return d.ArgErr()
	}
	for _, name := range g.ReplyHeaders {
		if err := checkReplyHeader(name); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (g *Gate) unmarshalAllowUnmetered(d *caddyfile.Dispenser) error {
	paths := d.RemainingArgs()
	if len(paths) == 0 {
		return d.ArgErr()
	}
	for _, path := range paths {
		if !strings.HasPrefix(path, "/") {
			return d.Errf("allow_unmetered: path %q does not begin with a slash", path)
		}
		if slices.Contains(g.AllowUnmetered, path) {
			return d.Errf("allow_unmetered: %s is already specified", path)
		}
		g.AllowUnmetered = append(g.AllowUnmetered, path)
	}
	return nil
}

func (g *Gate) unmarshalFixedCost(d *caddyfile.Dispenser) error {
	arguments := d.RemainingArgs()
	if len(arguments) != 2 {
		return d.Errf("fixed_cost: expected a path and the credits of a call, for example: fixed_cost /v1/rerank 0.01")
	}
	if _, twice := g.FixedCosts[arguments[0]]; twice {
		return d.Errf("fixed_cost: %s is already specified", arguments[0])
	}
	if g.FixedCosts == nil {
		g.FixedCosts = make(map[string]string)
	}
	g.FixedCosts[arguments[0]] = arguments[1]
	if _, err := g.fixedCosts(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Gate)(nil)
