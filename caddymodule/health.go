package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/penstockhq/penstock/caddymodule/balance"
)

func init() {
	caddy.RegisterModule(new(Health))
	httpcaddyfile.RegisterDirective("penstock_health", parseHealth)
	// Before everything that asks for a key or a password, or rewrites the path.
	httpcaddyfile.RegisterDirectiveOrder("penstock_health", httpcaddyfile.Before, "redir")
}

// DefaultHealthPath is where the health is asked for.
const DefaultHealthPath = "/health"

// Health answers load balancers and orchestrators that ask how the gateway is. It
// needs no key and says nothing that is secret. Below its path are:
//
// Path | Status
// -----|-------
// `/health` | 200 if calls are admitted, 503 if not
// `/health/ready` | the same
// `/health/live` | 200 as long as the process answers
//
// The body is JSON: `status` is `ok`, `degraded` or `unavailable`, and `reasons` says
// why it is not `ok`. `ledger_unavailable`, `limiter_unavailable` and `stopping` mean that
// no call is admitted. `limits_not_counted` means that Redis is away and calls are admitted
// without limits. `upstream_failing` and `no_upstream` degrade the gateway: some, or all,
// of the upstreams of a `lb_policy penstock` fail. Where there are several policies both
// may stand there. The status is 200 then, because another gateway in front of the same
// upstreams would do no better.
type Health struct {
	// The path. Default: `/health`.
	Path string `json:"path,omitempty"`

	app *App
}

// Why the health is not ok.
const (
	reasonLedger   = "ledger_unavailable"
	reasonStopping = "stopping"
	reasonLimiter  = "limiter_unavailable"
	reasonUnshared = "limits_not_counted"
	reasonFailing  = "upstream_failing"
	reasonNone     = "no_upstream"
)

// healthReport is what the health answers.
type healthReport struct {
	// One of `ok`, `degraded` and `unavailable`. Default: it is always set.
	Status string `json:"status"`
	// Why the status is not `ok`. Default: nothing, if it is.
	Reasons []string `json:"reasons,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*Health) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.penstock_health", New: func() caddy.Module { return new(Health) }}
}

// Provision implements caddy.Provisioner.
func (h *Health) Provision(ctx caddy.Context) error {
	if h.Path == "" {
		h.Path = DefaultHealthPath
	}
	app, err := ctx.App("penstock")
	if err != nil {
		return err
	}
	h.app = app.(*App)
	return nil
}

// Validate implements caddy.Validator.
func (h *Health) Validate() error { return checkHealthPath(h.Path) }

func checkHealthPath(path string) error {
	if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.Contains(path, "*") {
		return fmt.Errorf("penstock_health: path %q is not a path such as %s", path, DefaultHealthPath)
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	below, found := strings.CutPrefix(r.URL.Path, h.Path)
	if !found || below != "" && below != "/live" && below != "/ready" {
		return next.ServeHTTP(w, r)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	report, status := healthReport{Status: "ok"}, http.StatusOK
	if below != "/live" {
		report, status = h.report()
	}
	body, err := json.Marshal(report)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, err = w.Write(append(body, '\n'))
	}
	return err
}

// report says how the gateway is, and the status of the answer.
func (h *Health) report() (healthReport, int) {
	if !h.app.lease.Begin() || caddy.Exiting() {
		return healthReport{"unavailable", []string{reasonStopping}}, http.StatusServiceUnavailable
	}
	defer h.app.lease.End()
	err := h.app.begin()
	if err == nil {
		err = h.app.engine.Ledger.Ready()
	}
	if err != nil {
		return healthReport{"unavailable", []string{reasonLedger}}, http.StatusServiceUnavailable
	}
	reasons := failing(h.app.policies)
	if _, available, refuses := h.app.engine.SharedLimits(); !available {
		if refuses {
			return healthReport{"unavailable", []string{reasonLimiter}}, http.StatusServiceUnavailable
		}
		reasons = append([]string{reasonUnshared}, reasons...)
	}
	if reasons != nil {
		return healthReport{"degraded", reasons}, http.StatusOK
	}
	return healthReport{Status: "ok"}, http.StatusOK
}

// failing returns the reasons of all policies, each reason once and the worst first; nil if no
// upstream fails.
func failing(policies []*balance.Policy) []string {
	none, some := false, false
	for _, policy := range policies {
		status := policy.Status()
		none = none || status.Upstreams > 0 && status.Failing == status.Upstreams
		some = some || status.Failing > 0 && status.Failing < status.Upstreams
	}
	var reasons []string
	if none {
		reasons = append(reasons, reasonNone)
	}
	if some {
		reasons = append(reasons, reasonFailing)
	}
	return reasons
}

// parseHealth reads the directive. What looks like a path is the path of the health, and
// not a matcher as in other directives.
func parseHealth(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := new(Health)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// UnmarshalCaddyfile sets up the health from Caddyfile tokens. Syntax:
//
//	penstock_health [<path>]
func (h *Health) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the directive's name
	if d.NextArg() {
		h.Path = d.Val()
		if err := checkHealthPath(h.Path); err != nil {
			return d.WrapErr(err)
		}
	}
	if d.NextArg() {
		return d.Errf("penstock_health: unexpected argument %q", d.Val())
	}
	if d.NextBlock(0) {
		return d.Errf("penstock_health takes no block")
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Health)(nil)
	_ caddy.Validator             = (*Health)(nil)
	_ caddyfile.Unmarshaler       = (*Health)(nil)
	_ caddyhttp.MiddlewareHandler = (*Health)(nil)
)
