package forward

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/penstockhq/penstock/caddymodule/forward/internal/wire"
	"github.com/penstockhq/penstock/caddymodule/internal/inflight"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler forwards calls to the upstreams of a reverse proxy, at a lower cost than the
// proxy. It forwards plain calls, as inference servers get them: over HTTP/1.1, without
// TLS to the upstream, with a body that is in memory because a gate has read it. All
// others, such as upgrades to WebSocket, it hands to the proxy; and all of them if the
// proxy has an option that the handler does not know. What upstreams and callers see is
// the same either way.
//
// The placeholders of `reverse_proxy` have the same values.
type Handler struct {
	// The proxy, a handler `reverse_proxy` with all of its options. It also checks the
	// health of the upstreams and chooses among them.
	ProxyRaw json.RawMessage `json:"proxy,omitempty" caddy:"namespace=http.handlers inline_key=handler"`

	proxy   *reverseproxy.Handler
	log     *zap.Logger
	targets map[*reverseproxy.Upstream]*target // nil: everything goes to the proxy
	trusted []netip.Prefix                     // proxies whose X-Forwarded headers are believed
	flush   bool                               // each piece of each reply leaves at once
}

// target is an upstream as calls reach it.
type target struct {
	network, address, host, port string
	inFlight                     *atomic.Int64
	pool                         *wire.Pool
}

// CaddyModule implements caddy.Module.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.penstock_forward", New: func() caddy.Module { return new(Handler) }}
}

// Provision implements caddy.Provisioner.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.log = ctx.Logger()
	if h.ProxyRaw == nil {
		return fmt.Errorf("proxy: a handler reverse_proxy is required")
	}
	raw := h.ProxyRaw // loading it drops it
	module, err := ctx.LoadModule(h, "ProxyRaw")
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	var ok bool
	if h.proxy, ok = module.(*reverseproxy.Handler); !ok {
		return fmt.Errorf("proxy: expected the handler reverse_proxy, got %s", module.(caddy.Module).CaddyModule().ID.Name())
	}
	found, err := examine(raw)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	if found.obstacle != "" {
		h.log.Debug("every call goes through reverse_proxy", zap.String("because_of", found.obstacle))
		return nil
	}
	if err := register(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	h.flush, h.trusted = found.flush, found.trusted
	return h.aim(found)
}

// aim prepares the connections to the upstreams.
func (h *Handler) aim(found *configuration) error {
	h.targets = make(map[*reverseproxy.Upstream]*target, len(h.proxy.Upstreams))
	for _, upstream := range h.proxy.Upstreams {
		address, err := caddy.ParseNetworkAddress(upstream.Dial)
		if err != nil {
			return fmt.Errorf("upstream %s: %w", upstream.Dial, err)
		}
		t := &target{
			network: address.Network, address: address.JoinHostPort(0), host: address.Host,
			port: fmt.Sprint(address.StartPort), inFlight: inflight.Of(upstream.Dial),
		}
		t.pool = wire.NewPool(found.options(t.network, t.address))
		h.targets[upstream] = t
	}
	return nil
}

// Cleanup implements caddy.CleanerUpper. Calls that run are not disturbed.
func (h *Handler) Cleanup() error {
	for _, t := range h.targets {
		t.pool.Close()
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if h.targets == nil || !isPlain(r) {
		return h.proxy.ServeHTTP(w, r, next)
	}
	return newCall(h, w, r).run()
}

// debug logs what Caddy's proxy logs of a call at this level.
func (h *Handler) debug(message string, fields func() []zap.Field) {
	if entry := h.log.Check(zapcore.DebugLevel, message); entry != nil {
		entry.Write(fields()...)
	}
}

// splitHost returns the host of a remote address without its zone.
func splitHost(remote string) (string, bool) {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return "", false
	}
	host, _, _ = strings.Cut(host, "%")
	return host, true
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
