package runtime

import (
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Detached returns the request with variables and placeholders of its own. A call
// in the background uses them while the handlers around the gate and the access
// log still use those of the request, and neither may be used by two at once.
func Detached(w http.ResponseWriter, r *http.Request) *http.Request {
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	variables, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	copied := caddyhttp.PrepareRequest(r.Clone(r.Context()), caddy.NewReplacer(), w, server)
	for name, value := range variables {
		caddyhttp.SetVar(copied.Context(), name, value)
	}
	return copied
}

// ClientAddress returns the address that Caddy took for the client's, behind
// trusted proxies too.
func ClientAddress(r *http.Request) netip.Addr {
	text, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	address, _ := netip.ParseAddr(text) // the zero address is in no network
	return address.Unmap()
}

// replacer returns the placeholders of a request.
func replacer(r *http.Request) *caddy.Replacer {
	return r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
}
