package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/penstockhq/penstock/caddymodule/forward/internal/wire"
)

// statusClientGone is what access logs show for a client that has left.
const statusClientGone = 499

// errNoUpstream is what reverse_proxy says, too.
var errNoUpstream = errors.New("no upstreams available")

// call is a request on its way to an upstream, in one allocation.
type call struct {
	handler *Handler
	writer  http.ResponseWriter
	request *http.Request
	wire    wire.Request
	origin  origin

	// What the placeholders tell.
	start    time.Time
	target   *target // of the latest attempt
	upstream *reverseproxy.Upstream
	running  int // calls at the upstream when it was chosen
	attempt  time.Time
	latency  time.Duration // until the header of the reply
	lasted   time.Duration // of the latest attempt, 0 while it runs
	total    time.Duration
	retries  int
	reply    wire.Reply
	released bool // the connection to the upstream is free again
}

// newCall prepares a call.
func newCall(h *Handler, w http.ResponseWriter, r *http.Request) *call {
	c := &call{handler: h, writer: w, request: r, start: time.Now()}
	c.wire = wire.Request{Head: r, Message: c, Length: r.ContentLength, Repeatable: isRepeatable(r)}
	c.origin = h.originOf(r)
	if replacer, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		replacer.Map(c.placeholder)
	}
	return c
}

// isRepeatable says that a request may reach an upstream twice, by the rules of net/http.
func isRepeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return r.Header["Idempotency-Key"] != nil || r.Header["X-Idempotency-Key"] != nil
}

// run makes attempts until one gives an answer, or no more are allowed.
func (c *call) run() error {
	defer func() { c.total = time.Since(c.start) }()
	balancing := c.handler.proxy.LoadBalancing
	for {
		err := c.try(balancing.SelectionPolicy)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, context.Canceled): // the client has left
			c.writer.WriteHeader(statusClientGone)
			return nil
		case c.retries >= balancing.Retries || !c.mayRetry(err):
			return withStatus(err)
		}
		c.retries++
	}
}

// try makes one attempt.
func (c *call) try(policy reverseproxy.Selector) error {
	h := c.handler
	upstream := policy.Select(h.proxy.Upstreams, c.request, c.writer)
	if upstream == nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, errNoUpstream)
	}
	c.target, c.upstream = h.targets[upstream], upstream
	c.running = upstream.NumRequests() + int(c.target.inFlight.Add(1)) - 1
	defer c.target.inFlight.Add(-1)
	c.attempt, c.lasted, c.released = time.Now(), 0, false
	var err error
	c.reply, err = c.target.pool.RoundTrip(c.request.Context(), &c.wire)
	c.latency = time.Since(c.attempt)
	h.debug("upstream roundtrip", func() []zap.Field {
		fields := []zap.Field{zap.String("upstream", upstream.Dial), zap.Duration("duration", c.latency)}
		if err != nil {
			return append(fields, zap.Error(err))
		}
		return append(fields, zap.Int("status", c.reply.StatusCode))
	})
	if err != nil {
		c.reply = wire.Reply{}
		return err
	}
	return c.answer()
}

// mayRetry says that another attempt does no harm: the call has reached no upstream,
// or it only reads. These are the rules of reverse_proxy.
func (c *call) mayRetry(err error) bool {
	return isDial(err) || errors.Is(err, errNoUpstream) || c.request.Method == http.MethodGet
}

// isDial says that no connection could be made.
func isDial(err error) bool {
	var dial *wire.DialError
	return errors.As(err, &dial)
}

// withStatus returns an error with the status that reverse_proxy gives it.
func withStatus(err error) error {
	status := http.StatusBadGateway
	var known caddyhttp.HandlerError
	var failure net.Error
	switch {
	case errors.As(err, &known):
		return err
	case isDial(err):
		err = reverseproxy.NewDialError(err)
	case errors.As(err, &failure) && failure.Timeout():
		status = http.StatusGatewayTimeout
	}
	return caddyhttp.Error(status, err)
}

// Body implements wire.Message.
func (c *call) Body() (io.ReadCloser, error) { return c.request.GetBody() }

// placeholderPrefix is that of reverse_proxy.
const placeholderPrefix = "http.reverse_proxy."

// placeholder returns the value of one of reverse_proxy's placeholders.
func (c *call) placeholder(name string) (any, bool) {
	name, ours := strings.CutPrefix(name, placeholderPrefix)
	if !ours {
		return nil, false
	}
	switch name {
	case "duration":
		return c.total, c.total != 0
	case "duration_ms":
		return milliseconds(c.total), c.total != 0
	case "retries":
		return c.retries, c.total != 0
	}
	if name, ours := strings.CutPrefix(name, "upstream."); ours && c.target != nil {
		return c.upstreamPlaceholder(name)
	}
	if c.reply.Response != nil {
		return c.replyPlaceholder(name)
	}
	return nil, false
}

// upstreamPlaceholder returns what is known of the upstream that was chosen.
func (c *call) upstreamPlaceholder(name string) (any, bool) {
	answered := c.reply.Response != nil
	switch name {
	case "address":
		return caddy.JoinNetworkAddress(c.target.network, c.target.host, c.target.port), true
	case "hostport":
		return c.target.address, true
	case "host":
		return c.target.host, true
	case "port":
		return c.target.port, true
	case "requests":
		return c.running, true
	case "max_requests":
		return c.upstream.MaxRequests, true
	case "fails":
		return c.upstream.Fails(), true
	case "latency":
		return c.latency, answered
	case "latency_ms":
		return milliseconds(c.latency), answered
	case "duration":
		return c.lasted, c.lasted != 0
	case "duration_ms":
		return milliseconds(c.lasted), c.lasted != 0
	}
	return nil, false
}

// replyPlaceholder returns what is known of the reply.
func (c *call) replyPlaceholder(name string) (any, bool) {
	switch name {
	case "status_code":
		return c.reply.StatusCode, true
	case "status_text":
		return c.reply.Status, true
	}
	if field, ours := strings.CutPrefix(name, "header."); ours {
		if values, sent := c.reply.Header[field]; sent {
			return strings.Join(values, ","), true
		}
	}
	return nil, false
}

// milliseconds keeps the fraction.
func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }
