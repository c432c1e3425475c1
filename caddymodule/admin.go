package caddymodule

import (
	"cmp"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/admin"
)

func init() {
	caddy.RegisterModule(new(Admin))
	httpcaddyfile.RegisterHandlerDirective("penstock_admin", parseAdmin)
	httpcaddyfile.RegisterDirectiveOrder("penstock_admin", httpcaddyfile.Before, "reverse_proxy")
}

// Admin serves the administration of keys and credit below `/admin/`, and the key
// and model routes of the aiXplain SDK below `/sdk/` and `/v2/models`. All other
// paths go on to the next handler.
//
// It takes the ledger, the models, the limits of new keys and their bounds from
// the app `penstock`. Every route asks for a key. In a site whose paths all go
// through the gate `penstock`, give the gate a matcher, as it refuses paths that it
// cannot measure.
type Admin struct {
	app     *App
	build   sync.Once
	handler *admin.Handler
}

// CaddyModule implements caddy.Module.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.penstock_admin", New: func() caddy.Module { return new(Admin) }}
}

// Provision implements caddy.Provisioner.
func (a *Admin) Provision(ctx caddy.Context) error {
	app, err := ctx.App("penstock")
	if err != nil {
		return err
	}
	a.app = app.(*App)
	return nil
}

// ready returns the handler, which exists once the ledger is open.
func (a *Admin) ready() (*admin.Handler, error) {
	if err := a.app.begin(); err != nil {
		return nil, err
	}
	a.build.Do(func() { a.handler = admin.New(a.app.engine.Ledger, a.app.engine.Limiter, a.app.administration()...) })
	return a.handler, nil
}

// administration returns the options of the administration.
func (a *App) administration() []admin.Option {
	options := []admin.Option{
		admin.WithLogger(runtime.LastingLog(string(new(Admin).CaddyModule().ID))),
		admin.WithClientAddress(runtime.ClientAddress),
		admin.WithThrottle(a.engine.Throttle),
		admin.WithZone(a.engine.Zone),
		admin.WithBounds(limitBounds(a.Bounds)),
		admin.WithModels(a.administered()...),
		admin.WithAlerts(a.engine.Alerts),
		admin.WithAdmission(a.admission()),
	}
	if rows := a.keyLimits(); len(rows) > 0 {
		options = append(options, admin.WithDefaultLimits(rows[0]))
	}
	if hash, err := parseHash(a.AdminKeySHA256); err == nil {
		options = append(options, admin.WithAdminKeySHA256(hash))
	}
	return options
}

// admission returns what decides how much credit a call holds. Where gates differ, it
// is what holds the most.
func (a *App) admission() admin.Admission {
	known := admin.Admission{Forecast: a.engine.Forecast}
	for _, gate := range a.gates {
		limit := time.Duration(gate.HoldTimeout)
		known.TimeLimit = max(known.TimeLimit, cmp.Or(limit, middleware.DefaultHoldTimeout))
		known.StrictEstimate = known.StrictEstimate || gate.StrictEstimate
		known.WholeCap = known.WholeCap || gate.InjectMaxTokens != nil && !*gate.InjectMaxTokens
	}
	return known
}

// administered returns the models as the administration shows them.
func (a *App) administered() []admin.Model {
	var models []admin.Model
	for _, model := range a.catalog() {
		known := admin.Model{ID: model.Name, Description: model.Description, MaxOutputTokens: model.MaxOutputTokens}
		if configured := a.Models[model.Name]; configured != nil {
			known.Path = configured.Path
		}
		models = append(models, known)
	}
	return models
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !a.app.lease.Begin() {
		return caddyhttp.Error(http.StatusServiceUnavailable, runtime.ErrRetired)
	}
	handler, err := a.ready()
	if err != nil {
		a.app.lease.End()
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	if !handler.Matches(r) {
		a.app.lease.End()
		return next.ServeHTTP(w, r)
	}
	defer a.app.lease.End()
	handler.ServeHTTP(w, r)
	return nil
}

func parseAdmin(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Admin)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the administration from Caddyfile tokens. Syntax:
//
//	penstock_admin [<matcher>]
func (a *Admin) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	if d.NextArg() {
		return d.Errf("penstock_admin: unexpected argument %q", d.Val())
	}
	if d.NextBlock(0) {
		return d.Errf("penstock_admin takes no block")
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Admin)(nil)
	_ caddyfile.Unmarshaler       = (*Admin)(nil)
	_ caddyhttp.MiddlewareHandler = (*Admin)(nil)
	_ admin.Ledger                = (*ledger.Ledger)(nil)
)
