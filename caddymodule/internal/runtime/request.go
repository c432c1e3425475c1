package runtime

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/penstockhq/penstock/middleware"
)

// Detached returns the request with variables and placeholders of its own. A call
// in the background uses them while the handlers around the gate and the access
// log still use those of the request, and neither may be used by two at once.
func Detached(w http.ResponseWriter, r *http.Request) *http.Request {
	server, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	variables, _ := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	logged := context.WithValue(r.Context(), loggedKey{}, r)
	copied := caddyhttp.PrepareRequest(r.Clone(logged), caddy.NewReplacer(), w, server)
	for name, value := range variables {
		caddyhttp.SetVar(copied.Context(), name, value)
	}
	return copied
}

// loggedKey is where a detached request has the one that the access log knows.
type loggedKey struct{}

// LogRefusal lets the access log say which call was refused, and whose and why, if the key
// is known.
func LogRefusal(r *http.Request, refused middleware.Refused) {
	if logged, ok := r.Context().Value(loggedKey{}).(*http.Request); ok {
		r = logged // a refusal comes before anything runs in the background
	}
	logIDs(r, refused.RequestID, refused.ClientRequestID)
	if refused.KeyID == "" {
		return
	}
	if placeholders, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		placeholders.Set(userID, refused.KeyID)
	}
	if fields, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		fields.Set(zap.String("penstock_refusal", refused.Refusal.CodeText()))
	}
}

// logIDs lets the access log name a call by the gate's id, and by the client's own if it
// has one.
func logIDs(r *http.Request, id, client string) {
	fields, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok {
		return
	}
	fields.Set(zap.String("request_id", id))
	if client != "" {
		fields.Set(zap.String("client_request_id", client))
	}
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
