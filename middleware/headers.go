package middleware

import (
	"net/http"
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

	id, charge, length [1]string
	limits             [2][3]string
	upstream           [3]string // of the request that goes on
}

// dialectOf returns the dialect of a request's errors.
func (g *Gate) dialectOf(r *http.Request) dialect.Name {
	if g.dialect != nil {
		return *g.dialect
	}
	return dialect.NameOf(r.URL.EscapedPath())
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

// setUpstream sets what the gate says to the upstream about a body that it made.
func (h *headers) setUpstream(header http.Header, length int) {
	h.upstream[1], h.upstream[2] = "application/json", strconv.Itoa(length)
	header["Content-Type"] = h.upstream[1:2:2]
	header["Content-Length"] = h.upstream[2:3:3]
}

// askPlain asks the upstream for a reply that can be read without decompressing it.
func (h *headers) askPlain(header http.Header) {
	h.upstream[0] = "identity"
	header["Accept-Encoding"] = h.upstream[0:1:1]
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

// upstreamHeader copies a request's header without what upstreams must not see
// (the caller's key) or must not believe (headers that are the gateway's own).
func upstreamHeader(header http.Header) http.Header {
	copied := make(http.Header, len(header)+2)
	for name, values := range header {
		switch name {
		case "X-Inference-Ms", "Accept-Encoding", "Upgrade":
			continue
		}
		if strings.HasPrefix(name, "X-Penstock-") || carriesKey(name) || holdKey(values) {
			continue
		}
		copied[name] = values
	}
	return copied
}
