package forward

import (
	"net/http"
	"net/netip"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// origin is where a request comes from, as upstreams are told.
type origin struct {
	known           bool // else nothing is said
	client          string
	proto, host     string
	noProto, noHost bool
}

// originOf returns what the X-Forwarded headers say, by the rules of reverse_proxy: what
// a request says itself counts only if a trusted proxy has sent it.
func (h *Handler) originOf(r *http.Request) origin {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	client := ""
	if r.RemoteAddr == "@" { // a Unix socket
		if !trusted {
			return origin{}
		}
	} else {
		var ok bool
		if client, ok = splitHost(r.RemoteAddr); !ok {
			return origin{}
		}
		trusted = trusted || h.isTrusted(client)
	}
	o := origin{known: true, client: client, proto: "http", host: r.Host}
	if r.TLS != nil {
		o.proto = "https"
	}
	if values, named := r.Header["X-Forwarded-For"]; named && values == nil {
		o.client = "" // an earlier handler does not want it sent
	} else if prior := strings.Join(values, ", "); trusted && prior != "" {
		o.client = strings.TrimSuffix(prior+", "+client, ", ")
	}
	o.noProto = told(r.Header, "X-Forwarded-Proto", trusted, &o.proto)
	o.noHost = told(r.Header, "X-Forwarded-Host", trusted, &o.host)
	return o
}

// told replaces a value by what a trusted proxy says. It returns true if an earlier
// handler does not want the header sent.
func told(header http.Header, name string, trusted bool, value *string) bool {
	values, named := header[name]
	if named && values == nil {
		return true
	}
	if trusted && len(values) > 0 && values[len(values)-1] != "" {
		*value = values[len(values)-1]
	}
	return false
}

// isTrusted says that an address is one of a trusted proxy.
func (h *Handler) isTrusted(client string) bool {
	if len(h.trusted) == 0 {
		return false
	}
	address, err := netip.ParseAddr(client)
	if err != nil {
		return false
	}
	for _, prefix := range h.trusted {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// isHop says that a header is about a connection, not about what it carries. They are the
// ones that reverse_proxy does not pass on.
func isHop(name string) bool {
	switch name {
	case "Alt-Svc", "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// isSet says that the handler sets a header of requests itself.
func isSet(name string) bool {
	switch name {
	case "Host", "User-Agent", "Content-Length", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Via":
		return true
	}
	return isHop(name)
}

// AppendHeader implements wire.Message. isPlain has checked everything that is written.
func (c *call) AppendHeader(b []byte) []byte {
	r := c.request
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.URL.RequestURI()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	b = append(b, "\r\n"...)
	if agent := r.Header["User-Agent"]; len(agent) > 0 && agent[0] != "" {
		b = appendField(b, "User-Agent", agent[0])
	}
	if c.wire.Length > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, c.wire.Length, 10)
		b = append(b, "\r\n"...)
	}
	for name, values := range r.Header {
		if isSet(name) {
			continue
		}
		for _, value := range values {
			b = appendField(b, name, value)
		}
	}
	b = c.origin.append(b)
	for _, via := range r.Header["Via"] {
		b = appendField(b, "Via", via)
	}
	b = append(b, "Via: "...)
	b = appendVersion(b, r.ProtoMajor, r.ProtoMinor)
	return append(b, " Caddy\r\n\r\n"...)
}

// append appends the X-Forwarded headers.
func (o *origin) append(b []byte) []byte {
	if !o.known {
		return b
	}
	if o.client != "" {
		b = appendField(b, "X-Forwarded-For", o.client)
	}
	if !o.noProto {
		b = appendField(b, "X-Forwarded-Proto", o.proto)
	}
	if !o.noHost {
		b = appendField(b, "X-Forwarded-Host", o.host)
	}
	return b
}

// appendField appends a line of a header.
func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, textproto.TrimString(value)...)
	return append(b, "\r\n"...)
}

// appendVersion appends a version of HTTP.
func appendVersion(b []byte, major, minor int) []byte {
	b = strconv.AppendInt(b, int64(major), 10)
	b = append(b, '.')
	return strconv.AppendInt(b, int64(minor), 10)
}
