package middleware

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// Names of headers that the gate sets or removes.
const (
	headerCharged   = "X-Penstock-Credits-Charged"
	headerInference = "X-Inference-Ms"
)

// headers sets the headers of an answer that come from the gate itself. It holds
// the memory of their values, so that they need no allocations of their own.
type headers struct {
	dialect dialect.Name // of the answer
	now     func() time.Time
	room    *headroom
	pass    *[len(aboutSender)]bool // of the upstream's headers about itself
	senders senders

	id, charge, length [1]string
	limits             [2][3]string
	upstream           [4]string // of the request that goes on
}

// dialectOf returns the dialect of a request's errors.
func (g *Gate) dialectOf(r *http.Request) dialect.Name {
	if g.dialect != nil {
		return *g.dialect
	}
	return dialect.NameOf(g.pathOf(r))
}

// own removes headers that only the gate may set (ids, and limits that would be the
// gateway's and not the caller's) and sets the request's id.
func (h *headers) own(header http.Header) {
	for name := range header {
		if own(name) {
			delete(header, name)
		}
	}
	header["X-Request-Id"], header["Request-Id"] = h.id[:], h.id[:]
}

// clean removes from a reply's headers what only the gate may say, and what the upstream
// says about itself.
func (h *headers) clean(header http.Header) {
	h.own(header)
	delete(header, headerInference)
	h.senders.restore(header, h.pass)
}

// setLimits sets what is left of the client's limits, in the vendors' headers.
// Before admission it sets nothing.
func (h *headers) setLimits(header http.Header) {
	limits := h.dialect.LimitHeaders()
	h.setHeadroom(header, &limits.Requests, &h.limits[0], &h.room.requests, limits.ResetAt)
	h.setHeadroom(header, &limits.Tokens, &h.limits[1], &h.room.tokens, limits.ResetAt)
}

// setHeadroom sets the three headers of one kind of limit. Some clients read the
// reset as a point in time, others as a duration.
func (h *headers) setHeadroom(header http.Header, names, values *[3]string, room *limiter.Headroom, resetAt bool) {
	if room.Limit == 0 {
		return
	}
	// One string for the three values, because every answer has them.
	text := strconv.AppendInt(make([]byte, 0, 64), room.Limit, 10)
	limit := len(text)
	text = strconv.AppendInt(text, room.Remaining, 10)
	remaining := len(text)
	reset := max(room.Reset, 0)
	if resetAt {
		text = h.now().Add(reset).UTC().AppendFormat(text, time.RFC3339)
	} else {
		text = append(text, reset.Round(time.Millisecond).String()...)
	}
	whole := string(text)
	*values = [3]string{whole[:limit], whole[limit:remaining], whole[remaining:]}
	for i, name := range names {
		header[name] = values[i : i+1 : i+1]
	}
}

// setCharge names the charge in a header, or in a trailer if the body has passed.
func (h *headers) setCharge(header http.Header, amount ledger.Micro) {
	h.charge[0] = amount.String()
	header[headerCharged] = h.charge[:]
}

// setLength sets the length of a body that is sent whole.
func (h *headers) setLength(header http.Header, length int) {
	h.length[0] = strconv.Itoa(length)
	header["Content-Length"] = h.length[:]
}

// sendJSON tells the upstream that the body is JSON, whatever the caller said of it.
func (h *headers) sendJSON(header http.Header) {
	h.upstream[1] = "application/json"
	header["Content-Type"] = h.upstream[1:2:2]
}

// sendLength tells the upstream how long the body is.
func (h *headers) sendLength(header http.Header, length int) {
	h.upstream[2] = strconv.Itoa(length)
	header["Content-Length"] = h.upstream[2:3:3]
}

// askPlain asks the upstream for a reply that can be read without decompressing it.
func (h *headers) askPlain(header http.Header) {
	h.upstream[0] = "identity"
	header["Accept-Encoding"] = h.upstream[0:1:1]
}

// maxRetryAfter is the longest wait that an upstream is believed to mean.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads from a reply's header when to try again: from now, in milliseconds or
// seconds, or at a time. 0: it does not say so.
func retryAfter(header http.Header, now time.Time) time.Duration {
	wait := time.Duration(0)
	text := header.Get("Retry-After")
	if milliseconds, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil && milliseconds < 1e9 {
		wait = time.Duration(milliseconds * float64(time.Millisecond))
	} else if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds < 1e6 {
		wait = time.Duration(seconds * float64(time.Second))
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// takeInference reads X-Inference-Ms from a reply's headers or trailers and removes
// it.
func takeInference(header http.Header) (time.Duration, bool) {
	values := header[headerInference]
	delete(header, headerInference)
	if len(values) != 1 {
		return 0, false
	}
	milliseconds, err := strconv.ParseFloat(strings.TrimSpace(values[0]), 64)
	if err != nil || !(milliseconds >= 0) || milliseconds > float64(24*time.Hour/time.Millisecond) {
		return 0, false
	}
	return time.Duration(milliseconds * float64(time.Millisecond)), true
}

// own says that only the gate may set this header.
func own(name string) bool {
	return name == "X-Request-Id" || name == "Request-Id" || strings.HasPrefix(name, "X-Ratelimit-") ||
		strings.HasPrefix(name, "Anthropic-Ratelimit-") || strings.HasPrefix(name, "X-Penstock-")
}

// dropTrailers removes from the announced trailers those that the gate reads or
// sets itself.
func dropTrailers(header http.Header) {
	values, ok := header["Trailer"]
	if !ok {
		return
	}
	var kept []string
	for _, value := range values {
		for _, announced := range strings.Split(value, ",") {
			name := http.CanonicalHeaderKey(strings.TrimSpace(announced))
			if name != "" && name != headerInference && !own(name) {
				kept = append(kept, name)
			}
		}
	}
	if header.Del("Trailer"); len(kept) > 0 {
		header["Trailer"] = kept
	}
}

// dropOwnTrailers removes the trailers that only the gate may set, of those that were not
// announced.
func dropOwnTrailers(header http.Header) {
	for name := range header {
		if trailer, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && own(trailer) {
			delete(header, name)
		}
	}
}

// aboutSender are the headers of replies that are about their sender, and not about the
// answer: a client would take them for the gateway's. Those of upstreams are not passed on
// unless WithReplyHeaders names them.
var aboutSender = [...]string{"Set-Cookie", "Server", "X-Powered-By", "Alt-Svc"}

// ReplyHeaders returns the names that WithReplyHeaders takes.
func ReplyHeaders() []string { return slices.Clone(aboutSender[:]) }

// senders remembers what the handlers in front of the gate have said in these headers.
type senders [len(aboutSender)][]string

// note notes what is said before the next handler runs.
func (s *senders) note(header http.Header) {
	for i, name := range aboutSender {
		if values, ok := header[name]; ok {
			s[i] = slices.Clip(values) // so that others are not added in the same memory
		}
	}
}

// restore removes what the next handler has said, except in headers that pass.
func (s *senders) restore(header http.Header, pass *[len(aboutSender)]bool) {
	for i, name := range aboutSender {
		switch {
		case pass[i]:
		case s[i] != nil:
			header[name] = s[i]
		default:
			delete(header, name)
		}
	}
}

// forUpstream copies a request's header without what upstreams must not see (the
// caller's key) or must not believe (headers that are the gateway's own), and gives the
// request the gate's id. That value has memory of its own: handlers may change it.
func (h *headers) forUpstream(header http.Header) http.Header {
	copied := make(http.Header, len(header)+3)
	for name, values := range header {
		switch name {
		case headerInference, "Accept-Encoding", "Upgrade", "X-Request-Id", "Request-Id":
			continue
		}
		if strings.HasPrefix(name, "X-Penstock-") || carriesKey(name) || holdKey(values) {
			continue
		}
		copied[name] = values
	}
	h.upstream[3] = h.id[0]
	copied["X-Request-Id"] = h.upstream[3:4:4]
	return copied
}

// origins are the web origins whose pages may call: scheme and host, or * for all.
type origins []string

// exposed are the headers of answers that a page may read: of limits, of the request and
// of its charge. preflightAge is for how long, in seconds, a browser may remember what it
// was told of a path.
const (
	exposed = "X-Request-Id, Request-Id, Retry-After, Retry-After-Ms, X-Should-Retry, X-Penstock-Credits-Charged, " +
		"X-Ratelimit-Limit-Requests, X-Ratelimit-Remaining-Requests, X-Ratelimit-Reset-Requests, " +
		"X-Ratelimit-Limit-Tokens, X-Ratelimit-Remaining-Tokens, X-Ratelimit-Reset-Tokens, " +
		"Anthropic-Ratelimit-Requests-Limit, Anthropic-Ratelimit-Requests-Remaining, Anthropic-Ratelimit-Requests-Reset, " +
		"Anthropic-Ratelimit-Tokens-Limit, Anthropic-Ratelimit-Tokens-Remaining, Anthropic-Ratelimit-Tokens-Reset"
	preflightAge = "600"
)

// allowed returns what is said to a page about its origin, nothing if it may not call.
func (o origins) allowed(origin string) string {
	if origin == "" {
		return ""
	}
	for _, one := range o {
		switch {
		case one == "*":
			return one
		case strings.EqualFold(one, origin):
			return origin
		}
	}
	return ""
}

// admit tells a browser what its page may do. It answers a preflight and says so; any
// other answer gets its headers through the writer that it returns.
func (o origins) admit(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, bool) {
	shared := &sharedWriter{ResponseWriter: w, origins: o, origin: o.allowed(r.Header.Get("Origin"))}
	shared.set()
	method := r.Header.Get("Access-Control-Request-Method")
	if r.Method != http.MethodOptions || method == "" || shared.origin == "" {
		return shared, false
	}
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", "DELETE, GET, HEAD, PATCH, POST, PUT")
	if names := r.Header.Get("Access-Control-Request-Headers"); names != "" {
		header.Set("Access-Control-Allow-Headers", names)
	}
	header.Set("Access-Control-Max-Age", preflightAge)
	header.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
	return w, true
}

// sharedWriter writes answers that pages of other origins may read. What an upstream
// says about origins is about its own callers, and a second header of a kind makes
// browsers refuse the answer: it is replaced.
type sharedWriter struct {
	http.ResponseWriter
	origins origins
	origin  string // of the page; empty: it may not read the answer
	wrote   bool
}

// set sets the headers.
func (w *sharedWriter) set() {
	header := w.Header()
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(header, name)
		}
	}
	if w.origins.allowed("null") != "*" && !strings.Contains(strings.Join(header["Vary"], ","), "Origin") {
		header.Add("Vary", "Origin")
	}
	if w.origin != "" {
		header.Set("Access-Control-Allow-Origin", w.origin)
		header.Set("Access-Control-Expose-Headers", exposed)
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *sharedWriter) WriteHeader(status int) {
	w.set()
	w.wrote = w.wrote || status >= 200
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *sharedWriter) Write(piece []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(piece)
}

// Flush implements http.Flusher.
func (w *sharedWriter) Flush() { _ = w.FlushError() }

// FlushError is Flush with an error.
func (w *sharedWriter) FlushError() error {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the rest.
func (w *sharedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
