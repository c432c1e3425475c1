package middleware

import (
	"net/http"
	"net/netip"
	"strings"
)

// Credential returns the key's text from a request: Authorization with the
// scheme Bearer or Token, x-api-key or api-key, in this order. A header that is
// sent twice gives no key.
func Credential(header http.Header) string {
	if values := header["Authorization"]; len(values) == 1 {
		scheme, text, _ := strings.Cut(values[0], " ")
		if strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "token") {
			return strings.TrimSpace(text)
		}
	} else if len(values) > 1 {
		return ""
	}
	for _, name := range []string{"X-Api-Key", "Api-Key"} {
		if values := header[name]; len(values) == 1 {
			return strings.TrimSpace(values[0])
		} else if len(values) > 1 {
			return ""
		}
	}
	return ""
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

// RemoteAddress is the address of the connection's peer, IPv4 also where it came in
// its IPv6 form. Headers are not read: without a trusted proxy in front, callers
// could write any address into them.
func RemoteAddress(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap()
}
