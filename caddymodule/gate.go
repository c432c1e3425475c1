package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
	"github.com/penstockhq/penstock/middleware/dialect"
)

func init() {
	caddy.RegisterModule(new(Gate))
}

// Gate lets only those calls through to the next handler that carry a key, stay
// within the key's limits and are covered by credit; it measures what passes and
// charges for it. Paths that it cannot measure are refused with 404.
//
// The handler that follows is usually `reverse_proxy`; the Caddyfile directive
// `penstock_proxy` configures both at once. The gate must stand before every
// handler that could answer a call without it.
//
// It sets these placeholders, which can be used in this handler's chain, in
// `handle_errors` and in access logs:
//
// Placeholder | Description
// ------------|-------------
// `{penstock.key.id}` | The public id of the caller's key
// `{penstock.account}` | The account that pays for the call
// `{penstock.model}` | The model as the caller named it
// `{penstock.request_id}` | The id of the call, as in its entry in the ledger
// `{penstock.credits.charged}` | What the call cost, in credits
// `{http.auth.user.id}` | The public id of the caller's key, for access logs
// `{penstock.error.code}` | Why the call was refused, as a code
// `{penstock.error.message}` | Why the call was refused, as a sentence
// `{penstock.limit}` | The limit that refused the call
// `{penstock.retry_after_ms}` | When to try again, in milliseconds; 0 if never
//
// The access log of a call that was refused, with a key that is known, holds that
// key's id as `user_id`, and as `penstock_refusal` why it was refused, as a code.
//
// The last four placeholders are set only with `errors passthrough`, for the error routes. A
// limit is rpm, tpm, rpd, tpd, max_in_flight, balance or budget.
type Gate struct {
	// The maximum size of a request's body, also once it is decompressed; a larger
	// one is answered with 413. Unit: bytes. Default: 10485760 (10 MiB).
	MaxBody int64 `json:"max_body,omitempty"`

	// How long a call may run before it is cut. At first the credit for what the model's
	// calls took of late is held, 10 seconds where nothing is known; it grows up to
	// this time while the call runs. Default: 2m.
	HoldTimeout caddy.Duration `json:"hold_timeout,omitempty"`

	// The shape of refusals: `openai`, `anthropic`, `aquin`, `aixplain`, `ollama`,
	// `llamacpp`, `tgi` or `sglang`. Default: the dialect of the call's path.
	Dialect string `json:"dialect,omitempty"`

	// Who writes the refusal of a call that does not reach the next handler.
	// `passthrough` leaves it to Caddy's error routes, with the headers and
	// placeholders set. Default: the gate writes it as JSON in the caller's dialect.
	Errors string `json:"errors,omitempty"`

	// Whether to reserve one token for each byte of a prompt, which no prompt
	// exceeds, instead of one for every four bytes. Credit is held for as many from
	// the start. Default: false.
	StrictEstimate bool `json:"strict_estimate,omitempty"`

	// Whether to pass bodies on with what RFC 8259 does not call JSON but some servers
	// read: control characters in strings, half surrogates, `NaN`, `01`. They are refused
	// with 400 otherwise. Default: false.
	LenientJSON bool `json:"lenient_json,omitempty"`

	// Whether to refuse a body with a member that none of the servers known to speak on
	// its path has, so that no new setting of a server passes unread that multiplies the
	// work of a call. Default: false.
	StrictMembers bool `json:"strict_members,omitempty"`

	// Whether a call without a cap on its output gets the model's cap written into
	// it. Without a cap an upstream may produce more than the call has reserved.
	// Default: true.
	InjectMaxTokens *bool `json:"inject_max_tokens,omitempty"`

	// Paths that pass without being measured. They need a key and cost nothing. A
	// path that ends in `*` matches every path that begins with the part before it.
	// Default: none.
	AllowUnmetered []string `json:"allow_unmetered,omitempty"`

	// Paths that the gate cannot measure but lets pass for a fixed price: credits
	// for each call that is answered with success, by path. A path has one price in
	// all gates. Default: none.
	FixedCosts map[string]string `json:"fixed_costs,omitempty"`

	// Origins of web pages that may call, such as `https://chat.example.com`, or `*` for
	// all. Their preflights are answered without a key, they can read refusals and the
	// headers of limits, and what an upstream says about origins is replaced. Default:
	// none.
	CORS []string `json:"cors,omitempty"`

	// Headers of upstreams' replies that are passed on though they are dropped by default,
	// because clients would take them for the gateway's: `Set-Cookie` (`lb_policy cookie`
	// needs it), `Server`, `X-Powered-By` and `Alt-Svc`. Default: none.
	ReplyHeaders []string `json:"reply_headers,omitempty"`

	// Calls of which APIs become chat completions on their way to the upstreams, and
	// answers what these APIs answer: `messages` for Anthropic's `/v1/messages`,
	// `responses` for OpenAI's `/v1/responses`, or `off` for none. Default: those that
	// one of the upstreams which serve the call's model lacks, by the kind that
	// `lb_policy penstock` names: `penstock` and `tgi` lack both, other kinds neither.
	Translate []string `json:"translate,omitempty"`

	// What happens to the running streams of a key that is revoked: `finish` lets
	// them finish, `abort` cuts them within a few seconds. Default: `finish`.
	OnRevoke string `json:"on_revoke,omitempty"`

	app   *App
	log   *slog.Logger
	build sync.Once
	gate  *middleware.Gate
}

// errorsPassthrough is the value of Gate.Errors that leaves errors to Caddy.
const errorsPassthrough = "passthrough"

// revokeWords are the values of Gate.OnRevoke.
var revokeWords = map[string]middleware.OnRevoke{
	"": middleware.RevokeFinish, "finish": middleware.RevokeFinish, "abort": middleware.RevokeAbort,
}

// CaddyModule implements caddy.Module.
func (*Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.penstock", New: func() caddy.Module { return new(Gate) }}
}

// Provision implements caddy.Provisioner.
func (g *Gate) Provision(ctx caddy.Context) error {
	app, err := ctx.App("penstock")
	if err != nil {
		return err
	}
	g.app = app.(*App)
	g.log = runtime.LastingLog(string(g.CaddyModule().ID))
	costs, err := g.fixedCosts()
	if err != nil {
		return err
	}
	g.app.gates = append(g.app.gates, g)
	return g.app.claimFixedCosts(costs)
}

// Validate implements caddy.Validator.
func (g *Gate) Validate() error {
	if g.MaxBody < 0 {
		return fmt.Errorf("max_body %d is negative", g.MaxBody)
	}
	if g.HoldTimeout < 0 {
		return fmt.Errorf("hold_timeout %s is negative", time.Duration(g.HoldTimeout))
	}
	if _, known := dialect.ParseName(g.Dialect); g.Dialect != "" && !known {
		return fmt.Errorf("unknown dialect %s", suggest(g.Dialect, dialect.Names()))
	}
	if g.Errors != "" && g.Errors != errorsPassthrough {
		return fmt.Errorf("errors: unknown value %q; known: %s", g.Errors, errorsPassthrough)
	}
	if _, known := revokeWords[g.OnRevoke]; !known {
		return fmt.Errorf("on_revoke: unknown value %q; known: finish, abort", g.OnRevoke)
	}
	for _, origin := range g.CORS {
		if err := checkOrigin(origin); err != nil {
			return fmt.Errorf("cors: %w", err)
		}
	}
	for _, name := range g.ReplyHeaders {
		if err := checkReplyHeader(name); err != nil {
			return err
		}
	}
	if err := checkTranslate(g.Translate); err != nil {
		return fmt.Errorf("translate: %w", err)
	}
	for _, path := range g.AllowUnmetered {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("allow_unmetered: path %q does not begin with a slash", path)
		}
	}
	return nil
}

// checkOrigin checks that a text is what browsers send as the origin of a page.
func checkOrigin(text string) error {
	origin, err := url.Parse(text)
	if text == "*" || err == nil && text == origin.Scheme+"://"+origin.Host && origin.Host != "" {
		return nil
	}
	return fmt.Errorf("%q is not an origin: expected a scheme and a host, for example https://chat.example.com, or *", text)
}

// checkReplyHeader checks that a header is one that is dropped by default.
func checkReplyHeader(name string) error {
	known := middleware.ReplyHeaders()
	if slices.ContainsFunc(known, func(one string) bool { return strings.EqualFold(one, name) }) {
		return nil
	}
	return fmt.Errorf("reply_headers: %s passes anyway or never; known: %s", name, strings.Join(known, ", "))
}

// fixedCosts returns the fixed prices by path.
func (g *Gate) fixedCosts() (map[string]ledger.Micro, error) {
	costs := make(map[string]ledger.Micro, len(g.FixedCosts))
	for _, path := range slices.Sorted(maps.Keys(g.FixedCosts)) {
		if path == "" || path[0] != '/' {
			return nil, fmt.Errorf("fixed cost: path %q does not begin with a slash", path)
		}
		if strings.HasSuffix(path, "*") {
			return nil, fmt.Errorf("fixed cost: path %q ends in *, and only whole paths can have a price", path)
		}
		cost, err := ledger.ParseMicro(g.FixedCosts[path])
		if err == nil && cost <= 0 {
			err = errors.New("it must be above zero")
		}
		if err != nil {
			return nil, fmt.Errorf("fixed cost of %s: %w", path, err)
		}
		costs[path] = cost
	}
	return costs, nil
}

// options returns the middleware's options for this gate.
func (g *Gate) options() []middleware.Option {
	app := g.app
	options := []middleware.Option{
		middleware.WithModels(app.catalog()...),
		middleware.WithLogger(g.log),
		middleware.WithRuns(app.engine.Runs),
		middleware.WithForecast(app.engine.Forecast),
		middleware.WithObserver(app.engine.Observer(app.modelNames()...)),
		middleware.WithClientAddress(runtime.ClientAddress),
		middleware.WithOnRevoke(revokeWords[g.OnRevoke]),
		middleware.WithRefusalHook(runtime.LogRefusal),
		middleware.WithAllowUnmetered(g.AllowUnmetered...),
		middleware.WithCORS(g.CORS...),
		middleware.WithReplyHeaders(g.ReplyHeaders...),
		middleware.WithTranslation(g.lacking()),
	}
	if g.MaxBody != 0 {
		options = append(options, middleware.WithMaxBody(g.MaxBody))
	}
	if g.HoldTimeout != 0 {
		options = append(options, middleware.WithHoldTimeout(time.Duration(g.HoldTimeout)))
	}
	if name, ok := dialect.ParseName(g.Dialect); ok && g.Dialect != "" {
		options = append(options, middleware.WithDialect(name))
	}
	if g.Errors == errorsPassthrough {
		options = append(options, middleware.WithErrorsPassthrough(runtime.PassRefusal))
	}
	if g.StrictEstimate {
		options = append(options, middleware.WithStrictEstimate())
	}
	if g.LenientJSON {
		options = append(options, middleware.WithLenientJSON())
	}
	if g.StrictMembers {
		options = append(options, middleware.WithStrictMembers())
	}
	if g.InjectMaxTokens != nil {
		options = append(options, middleware.WithInjectMaxTokens(*g.InjectMaxTokens))
	}
	costs, _ := g.fixedCosts() // Validate has seen them
	for path, cost := range costs {
		options = append(options, middleware.WithFixedCost(path, cost))
	}
	return options
}

// ready returns the gate, which exists once the ledger is open.
func (g *Gate) ready() (*middleware.Gate, error) {
	if err := g.app.begin(); err != nil {
		return nil, err
	}
	g.build.Do(func() {
		g.gate = middleware.NewGate(g.app.engine.Accounts, g.app.engine.Limiter, g.options()...)
		if err := g.gate.SetPrices(context.Background()); err != nil {
			g.app.log.Error("fixed cost not set: the path is refused", "error", err)
		}
	})
	return g.gate, nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if _, inside := middleware.CallFrom(r.Context()); inside {
		return next.ServeHTTP(w, r) // another gate has the call, and charges for it
	}
	if !g.app.lease.Begin() {
		w.Header().Set("Retry-After", "1")
		return caddyhttp.Error(http.StatusServiceUnavailable, runtime.ErrRetired)
	}
	defer g.app.lease.End()
	if g.app.engine.HandedOver() {
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Connection", "close") // the next try finds the other process
		return caddyhttp.Error(http.StatusServiceUnavailable, runtime.ErrHandedOver)
	}
	gate, err := g.ready()
	if err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	passage := runtime.NewPassage(g.app.lease, g.log, next)
	if g.Errors == errorsPassthrough {
		r = passage.Attach(r)
	}
	if route, ok := dialect.Classify(r.Method, r.URL.EscapedPath()); ok && route.Spec.Handling == dialect.StartRun {
		r = runtime.Detached(w, r)
	}
	gate.Serve(w, r, passage)
	return passage.Finish()
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Gate)(nil)
	_ caddy.Validator             = (*Gate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
)
