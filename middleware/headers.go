package middleware

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// Names of headers that the gate sets or takes.
const (
	headerCharged   = "X-Penstock-Credits-Charged"
	headerInference = "X-Inference-Ms"
)

// The kinds of limits that headers tell of.
const (
	roomRequests = iota
	roomTokens
)

// The names of the headers for limit, remaining and reset, in canonical form.
var (
	openAIHeadroom = [2][3]string{
		{"X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
		{"X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
	}
	anthropicHeadroom = [2][3]string{
		{"Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset"},
		{"Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset"},
	}
)

// setHeadroom sets the three headers of one kind of limit. OpenAI's clients read
// the reset as a duration, Anthropic's as a point in time.
func (x *exchange) setHeadroom(header http.Header, what int, room *limiter.Headroom) {
	if room.Limit == 0 {
		return
	}
	// One string for the three values, because every answer has them.
	text := strconv.AppendInt(make([]byte, 0, 64), room.Limit, 10)
	limit := len(text)
	text = strconv.AppendInt(text, room.Remaining, 10)
	remaining := len(text)
	names, reset := &openAIHeadroom, max(room.Reset, 0)
	if x.kind == dialect.Anthropic {
		names = &anthropicHeadroom
		text = x.gate.now().Add(reset).UTC().AppendFormat(text, time.RFC3339)
	} else {
		text = append(text, reset.Round(time.Millisecond).String()...)
	}
	values, whole := &x.limitValues[what], string(text)
	*values = [3]string{whole[:limit], whole[limit:remaining], whole[remaining:]}
	for i, name := range names[what] {
		header[name] = values[i : i+1 : i+1]
	}
}

// ownHeaders takes out of an upstream's reply what the gate says itself: ids, and
// limits that are the gateway's and not the caller's.
func (x *exchange) ownHeaders(header http.Header) {
	for name := range header {
		if own(name) {
			delete(header, name)
		}
	}
	header["X-Request-Id"], header["Request-Id"] = x.idValue[:], x.idValue[:]
}

// takeInference takes X-Inference-Ms out of a reply's headers or trailers.
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

// own says that the gate says this itself, whatever an upstream says.
func own(name string) bool {
	return name == "X-Request-Id" || name == "Request-Id" || strings.HasPrefix(name, "X-Ratelimit-") ||
		strings.HasPrefix(name, "Anthropic-Ratelimit-") || strings.HasPrefix(name, "X-Penstock-")
}

// dropTrailers takes the names out of the announced trailers that the gate reads
// or says itself.
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
		case "Authorization", "X-Api-Key", "Api-Key", "X-Inference-Ms", "Accept-Encoding", "Upgrade":
			continue
		}
		if strings.HasPrefix(name, "X-Penstock-") {
			continue
		}
		copied[name] = values
	}
	return copied
}
