package caddymodule

import (
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("penstock", parseApp)
}

// appOptions lists the words of the global option, for error messages.
var appOptions = []string{
	"ledger", "zone", "commit_wait", "keep_entries", "on_crash", "disk_reserve", "snapshot_every", "take_over", "limiter", "default_limits", "bounds", "model", "bootstrap", "admin_key_sha256", "key_sha256", "alerts",
}

// modelOptions lists the words of a block model, for error messages.
var modelOptions = []string{"price", "max_output_tokens", "upstream_name", "description", "path", "continuous_usage", "media"}

// parseApp reads the global option penstock.
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // consume the option's name
	if existing != nil {
		return nil, d.Err("the global option penstock is already specified; put everything into one block")
	}
	app := new(App)
	if err := app.unmarshal(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "penstock", Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile sets up the app from Caddyfile tokens. Syntax:
//
//	penstock {
//	    ledger         <store> [<options...>]
//	    zone           <name>
//	    commit_wait    <duration>
//	    keep_entries   <duration>
//	    on_crash       checkpoint|release|full
//	    disk_reserve   <size>
//	    snapshot_every <entries>
//	    take_over
//	    limiter { # and redis <address...> {...}
//	        strict
//	        max_scopes  <n>
//	        log_entries <n>
//	    }
//	    default_limits <limit> <value> [<limit> <value>...]
//	    bounds         <limit> <min> <max>
//	    model <name> {
//	        price             minute|input|cached_input|output|request|audio_second|image <credits>
//	        max_output_tokens <tokens>
//	        upstream_name     <name>
//	        description       <text>
//	        path              <second name>
//	        continuous_usage
//	        media             image patch <pixels> [<min> <max>]
//	        media             image tile <base> <per tile> [<pixels> [<fit> [<short>]]]
//	        media             image fixed <tokens>
//	        media             page|audio_second|video_second <tokens>
//	    }
//	    bootstrap demo
//	    admin_key_sha256 <hash>
//	    key_sha256       <hash>
//	    alerts {
//	        thresholds <percent...>
//	        webhook    <url> <secret>
//	    }
//	}
//
// A limit is rpm, tpm, rpd, tpd or max_in_flight; default_limits also takes
// token_type total|input|output.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the option's name
	return a.unmarshal(d)
}

func (a *App) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("unexpected argument %q; the option takes a block", d.Val())
	}
	var defaults caddyfile.Dispenser // at the line of the default limits
	for d.NextBlock(0) {
		option := d.Val()
		if option == "default_limits" {
			defaults = *d
		}
		unmarshal, known := appParsers[option]
		if !known {
			return unknown(d, "option of penstock", appOptions)
		}
		if err := unmarshal(a, d); err != nil {
			return err
		}
	}
	if a.DefaultLimits != nil {
		if err := a.DefaultLimits.validate(a.Bounds); err != nil {
			return defaults.Errf("default_limits: %w", err)
		}
	}
	return nil
}

// appParsers read the options of the global option, by their first word.
var appParsers = map[string]func(*App, *caddyfile.Dispenser) error{
	"ledger":           (*App).unmarshalLedger,
	"zone":             (*App).unmarshalZone,
	"commit_wait":      (*App).unmarshalCommitWait,
	"keep_entries":     (*App).unmarshalKeepEntries,
	"on_crash":         func(a *App, d *caddyfile.Dispenser) error { return oneOf(d, &a.OnCrash, ledger.CrashPolicies()...) },
	"take_over":        func(a *App, d *caddyfile.Dispenser) error { a.TakeOver = true; return noArgument(d) },
	"disk_reserve":     func(a *App, d *caddyfile.Dispenser) error { return oneSize(d, &a.DiskReserve) },
	"snapshot_every":   (*App).unmarshalSnapshotEvery,
	"limiter":          (*App).unmarshalLimiter,
	"default_limits":   (*App).unmarshalDefaultLimits,
	"bounds":           (*App).unmarshalBounds,
	"model":            (*App).unmarshalModel,
	"bootstrap":        func(a *App, d *caddyfile.Dispenser) error { return oneOf(d, &a.Bootstrap, bootstrapDemo) },
	"admin_key_sha256": func(a *App, d *caddyfile.Dispenser) error { return oneHash(d, &a.AdminKeySHA256) },
	"key_sha256":       func(a *App, d *caddyfile.Dispenser) error { return oneHash(d, &a.KeySHA256) },
	"alerts":           (*App).unmarshalAlerts,
}

func (a *App) unmarshalZone(d *caddyfile.Dispenser) error {
	if err := oneArgument(d, &a.Zone); err != nil {
		return err
	}
	if _, err := time.LoadLocation(a.Zone); err != nil {
		return d.Errf("zone: %w", err)
	}
	return nil
}

func (a *App) unmarshalLimiter(d *caddyfile.Dispenser) error {
	if a.Limiter != nil {
		return d.Err("limiter is already specified")
	}
	a.Limiter = new(Limiter)
	return a.Limiter.unmarshal(d)
}

func (a *App) unmarshalSnapshotEvery(d *caddyfile.Dispenser) error {
	if a.SnapshotEvery != 0 {
		return d.Err("snapshot_every is already specified")
	}
	var text string
	if err := oneArgument(d, &text); err != nil {
		return err
	}
	return parseWhole(d, "snapshot_every", text, 1, &a.SnapshotEvery)
}

func (a *App) unmarshalKeepEntries(d *caddyfile.Dispenser) error {
	if a.KeepEntries != 0 {
		return d.Err("keep_entries is already specified")
	}
	var text string
	if err := oneArgument(d, &text); err != nil {
		return err
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil || duration == 0 {
		return d.Errf("keep_entries: %q is not a duration, for example 400d", text)
	}
	a.KeepEntries = caddy.Duration(duration)
	if err := validateKeepEntries(a.KeepEntries); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (a *App) unmarshalCommitWait(d *caddyfile.Dispenser) error {
	if a.CommitWait != nil {
		return d.Err("commit_wait is already specified")
	}
	var text string
	if err := oneArgument(d, &text); err != nil {
		return err
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("commit_wait: %q is not a duration, for example 10ms; 0 turns the wait off", text)
	}
	a.CommitWait = (*caddy.Duration)(&duration)
	if err := validateCommitWait(a.CommitWait); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// oneHash reads the hash of a key. A placeholder is checked when the configuration
// is loaded.
func oneHash(d *caddyfile.Dispenser, value *string) error {
	option := d.Val()
	if err := oneArgument(d, value); err != nil {
		return err
	}
	if strings.HasPrefix(*value, "{") {
		return nil
	}
	if _, err := parseHash(*value); err != nil {
		return d.Errf("%s: %w", option, err)
	}
	return nil
}

func (a *App) unmarshalLedger(d *caddyfile.Dispenser) error {
	if a.LedgerRaw != nil {
		return d.Err("ledger is already specified")
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	if stores := ledgerStores(); !slices.Contains(stores, name) {
		return unknown(d, "kind of ledger", stores)
	}
	module, err := caddyfile.UnmarshalModule(d, "penstock.ledgers."+name)
	if err != nil {
		return err
	}
	a.LedgerRaw = caddyconfig.JSONModuleObject(module, "store", name, nil)
	return nil
}

// ledgerStores returns the names of the modules that can keep a ledger.
func ledgerStores() []string {
	var names []string
	for _, module := range caddy.GetModules("penstock.ledgers") {
		names = append(names, module.ID.Name())
	}
	return names
}

func (a *App) unmarshalDefaultLimits(d *caddyfile.Dispenser) error {
	if a.DefaultLimits != nil {
		return d.Err("default_limits is already specified")
	}
	a.DefaultLimits = new(Limits)
	if !d.NextArg() {
		return d.ArgErr()
	}
	seen := make(map[string]bool)
	for more := true; more; more = d.NextArg() {
		name := d.Val()
		if seen[name] {
			return d.Errf("default_limits: %s is already specified", name)
		}
		seen[name] = true
		rule, known := limits.ParseRule(name)
		if !known && name != "token_type" {
			return d.Errf("default_limits: unknown limit %q; known: %s, token_type",
				name, strings.Join(limits.Names(), ", "))
		}
		if !d.NextArg() {
			return d.Errf("default_limits: %s has no value", name)
		}
		if !known {
			if a.DefaultLimits.TokenType, known = limits.ParseTokenType(d.Val()); !known || d.Val() == "" {
				return d.Errf("default_limits: unknown token_type %q; known: %s",
					d.Val(), strings.Join(limits.TokenTypeNames(), ", "))
			}
			continue
		}
		if err := wholeNumber(d, "default_limits: "+name, 0, a.DefaultLimits.row().Value(rule)); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) unmarshalBounds(d *caddyfile.Dispenser) error {
	arguments := d.RemainingArgs()
	if len(arguments) != 3 {
		return d.Errf("bounds: expected a limit, its minimum and its maximum, for example: bounds rpm 10 600")
	}
	name, bound := arguments[0], limits.Range{}
	if _, twice := a.Bounds[name]; twice {
		return d.Errf("bounds: %s is already specified", name)
	}
	if err := parseWhole(d, "bounds: "+name, arguments[1], 0, &bound.Min); err != nil {
		return err
	}
	if err := parseWhole(d, "bounds: "+name, arguments[2], 0, &bound.Max); err != nil {
		return err
	}
	if err := validateBound(name, bound); err != nil {
		return d.Errf("bounds: %v", err)
	}
	if a.Bounds == nil {
		a.Bounds = make(map[string]limits.Range)
	}
	a.Bounds[name] = bound
	return nil
}

func (a *App) unmarshalModel(d *caddyfile.Dispenser) error {
	var name string
	if !d.Args(&name) {
		return d.ArgErr()
	}
	if d.NextArg() {
		return d.Errf("model %s: unexpected argument %q", name, d.Val())
	}
	if name == "" {
		return d.Err("model: the name is empty")
	}
	if a.Models[name] != nil {
		return d.Errf("model %s is already specified", name)
	}
	model := new(Model)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := model.unmarshalOption(d, name); err != nil {
			return err
		}
	}
	if err := model.validate(); err != nil {
		return d.Errf("model %s: %w", name, err)
	}
	if a.Models == nil {
		a.Models = make(map[string]*Model)
	}
	a.Models[name] = model
	if err := a.validatePaths(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (m *Model) unmarshalOption(d *caddyfile.Dispenser, name string) error {
	switch d.Val() {
	case "price":
		return m.unmarshalPrice(d, name)
	case "max_output_tokens":
		if m.MaxOutputTokens != 0 {
			return d.Errf("model %s: max_output_tokens is already specified", name)
		}
		var value string
		if err := oneArgument(d, &value); err != nil {
			return err
		}
		return wholeNumber(d, "model "+name+": max_output_tokens", 1, &m.MaxOutputTokens)
	case "upstream_name":
		return oneArgument(d, &m.UpstreamName)
	case "path":
		return oneArgument(d, &m.Path)
	case "description":
		return oneArgument(d, &m.Description)
	case "media":
		return m.unmarshalMedia(d, name)
	case "continuous_usage":
		if m.ContinuousUsage {
			return d.Errf("model %s: continuous_usage is already specified", name)
		}
		m.ContinuousUsage = true
		return noArgument(d)
	}
	return unknown(d, "option of model "+name, modelOptions)
}

func (m *Model) unmarshalPrice(d *caddyfile.Dispenser, name string) error {
	arguments := d.RemainingArgs()
	if len(arguments) != 2 {
		return d.Errf("model %s: price: expected what is charged for and the credits, for example: price minute 1", name)
	}
	if m.Price == nil {
		m.Price = new(Price)
	}
	part := m.Price.field(arguments[0])
	switch {
	case part == nil:
		return d.Errf("model %s: unknown price %q; known: %s", name, arguments[0], strings.Join(priceNames, ", "))
	case *part != "":
		return d.Errf("model %s: price %s is already specified", name, arguments[0])
	}
	*part = arguments[1]
	// The price as a whole is checked at the end of the block. Here the line is still
	// known, so that the error can name it.
	amount, err := ledger.ParseMicro(*part)
	switch {
	case err != nil:
		return d.Errf("model %s: price %s: %w", name, arguments[0], err)
	case amount < 0:
		return d.Errf("model %s: price %s: %s is negative", name, arguments[0], *part)
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*App)(nil)
