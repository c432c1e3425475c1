package middleware

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
	"github.com/penstockhq/penstock/middleware/forecast"
	"github.com/penstockhq/penstock/middleware/translate"
)

const (
	// DefaultMaxBody is the maximum size of a request's body without WithMaxBody.
	DefaultMaxBody = 10 << 20
	// DefaultHoldTimeout is how long a call may run without WithHoldTimeout.
	DefaultHoldTimeout = 2 * time.Minute
	// DefaultMaxOutputTokens caps the output of a call whose caller and whose model
	// set no cap.
	DefaultMaxOutputTokens = forecast.UsualOutputTokens
)

// OnRevoke says what happens to the streams of a key that is revoked.
type OnRevoke uint8

const (
	// RevokeFinish lets running streams finish. It is the default.
	RevokeFinish OnRevoke = iota
	// RevokeAbort cuts them within a few seconds.
	RevokeAbort
)

// Option changes the gate.
type Option func(*Gate)

// WithModels names the models. Without them any model name passes.
func WithModels(models ...Model) Option {
	return func(g *Gate) {
		if len(models) > 0 {
			g.catalog = newCatalog(models)
		}
	}
}

// WithCatalog names the models through something that may change while the gate
// runs.
func WithCatalog(models Catalog) Option { return func(g *Gate) { g.catalog = models } }

// WithPathPrefix serves the gate's paths below a prefix such as /api, for a gate in a
// router that leaves the prefix in the path, as chi's Route does. Behind http.StripPrefix
// there is none. Options that name paths, and prices of paths, mean what follows the
// prefix; the next handler gets the whole path. The prefix begins with a slash.
func WithPathPrefix(prefix string) Option {
	return func(g *Gate) { g.prefix = strings.TrimSuffix(prefix, "/") }
}

// WithMaxBody limits a request's body in bytes, both as sent and decompressed.
func WithMaxBody(bytes int64) Option { return func(g *Gate) { g.maxBody = bytes } }

// WithHoldTimeout limits how long a call may run. The credit hold grows up to this
// time while the call runs.
func WithHoldTimeout(limit time.Duration) Option { return func(g *Gate) { g.holdTimeout = limit } }

// WithInjectMaxTokens says whether the model's cap is written into a call that sets
// none. It is on by default; off, an upstream may
// produce more than the call has reserved.
func WithInjectMaxTokens(inject bool) Option { return func(g *Gate) { g.injectCap = inject } }

// WithAllowUnmetered lets paths pass that the gate cannot meter. They need a
// key and cost nothing. A path that ends in * allows everything that begins so.
func WithAllowUnmetered(paths ...string) Option {
	return func(g *Gate) { g.unmetered = append(g.unmetered, paths...) }
}

// WithFixedCost lets a path pass that the gate cannot meter, for a fixed amount
// of each call that is answered with success.
func WithFixedCost(path string, amount ledger.Micro) Option {
	return func(g *Gate) { g.custom[path] = &customPath{fixed: amount} }
}

// WithMetered lets a path pass whose handler reports its usage by ReportUsage.
// worst is the upper limit of each call's tokens, which are held and reserved; time
// is held as for any other call.
func WithMetered(path string, worst ledger.Quantity) Option {
	return func(g *Gate) { g.custom[path] = &customPath{worst: worst} }
}

// WithTranslation turns calls of an API into chat completions where the upstreams lack it,
// and the answers back. lacking returns the APIs that the upstreams of a model lack; it is
// called for each call of one of them. Without the option upstreams get such calls as they
// are.
func WithTranslation(lacking func(model string) translate.APIs) Option {
	return func(g *Gate) { g.lacks = lacking }
}

// WithCORS lets web pages call the gate that come from these origins, each a scheme and
// a host with its port (https://chat.example.com), or * for all. Their preflights are
// answered without a key. Without the option no page of another origin can call.
func WithCORS(pages ...string) Option {
	return func(g *Gate) { g.origins = append(g.origins, pages...) }
}

// WithReplyHeaders passes headers of upstreams' replies on that are dropped without it,
// because clients would take them for the gateway's: Set-Cookie, Server, X-Powered-By and
// Alt-Svc. Other names change nothing.
func WithReplyHeaders(names ...string) Option {
	return func(g *Gate) {
		for i, name := range aboutSender {
			g.replyHeaders[i] = g.replyHeaders[i] || slices.ContainsFunc(names, func(one string) bool {
				return strings.EqualFold(one, name)
			})
		}
	}
}

// WithDialect fixes the shape of the gate's errors, whatever the path.
func WithDialect(name dialect.Name) Option { return func(g *Gate) { g.dialect = &name } }

// WithErrorsPassthrough hands refusals that come before the upstream to respond
// instead of writing them. The headers that belong to the refusal are set
// already; respond sends status and body.
func WithErrorsPassthrough(respond func(http.ResponseWriter, *http.Request, Refused)) Option {
	return func(g *Gate) { g.respond = respond }
}

// WithRefusalHook calls note for each call that is refused before it runs, with the request
// as the gate got it and before the answer is written. It may put the key's id and the
// reason into a log.
func WithRefusalHook(note func(*http.Request, Refused)) Option {
	return func(g *Gate) { g.refused = note }
}

// WithStrictEstimate reserves a true upper limit of prompt tokens, one for each
// byte, instead of one for four bytes. The credit hold covers them from the start.
func WithStrictEstimate() Option { return func(g *Gate) { g.strict = true } }

// WithLenientJSON passes bodies on with what RFC 8259 does not call JSON but some servers
// read: control characters in strings, half surrogates, NaN, 01. Without it they are
// refused.
func WithLenientJSON() Option { return func(g *Gate) { g.reader.LenientJSON = true } }

// WithStrictMembers refuses a body with a member that no server known to speak on its
// path has. A new setting of a server that multiplies the work of a call cannot pass
// unread then.
func WithStrictMembers() Option { return func(g *Gate) { g.reader.StrictMembers = true } }

// WithLogger sets where the gate logs. The default is to log nothing.
func WithLogger(logger *slog.Logger) Option { return func(g *Gate) { g.logger = logger } }

// WithClock sets the clock. It must carry a monotonic reading to measure time.
func WithClock(now func() time.Time) Option { return func(g *Gate) { g.now = now } }

// WithObserver sets the observer that receives a report of each call.
func WithObserver(observer Observer) Option { return func(g *Gate) { g.observer = observer } }

// WithOnRevoke says what happens to the streams of a key that is revoked. It
// needs a ledger that is a KeyLookup.
func WithOnRevoke(what OnRevoke) Option { return func(g *Gate) { g.onRevoke = what } }

// WithClientAddress says where a request's client address comes from, for keys
// that are restricted to networks. The default is the connection's remote address.
func WithClientAddress(address func(*http.Request) netip.Addr) Option {
	return func(g *Gate) { g.clientAddress = address }
}

// WithRuns sets where background runs are kept. The default is a Runs of the
// gate's own with DefaultMaxRuns.
func WithRuns(runs *Runs) Option { return func(g *Gate) { g.runs = runs } }

// WithForecast sets what is known of the latest calls. Gates may share one, so that it
// outlives a change of the configuration. The default is one of the gate's own, which
// knows nothing at first.
func WithForecast(known *forecast.Forecast) Option {
	return func(g *Gate) { g.forecast = known }
}
