package middleware

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/dialect"
)

// The classes of paths that a key may be allowed to use. Which one a path needs
// stands in the spec of its operation.
const (
	// PermissionInference is every path on which a model answers.
	PermissionInference = dialect.PermissionInference
	// PermissionEmbeddings is every path on which a model makes embeddings.
	PermissionEmbeddings = dialect.PermissionEmbeddings
	// PermissionRAG is retrieval: reranking, and every path that the operator named,
	// such as those of a retrieval service behind the same gate.
	PermissionRAG = dialect.PermissionRAG
)

// caller is who calls, and from where.
type caller struct {
	key ledger.Key
	// address is set only for keys that are restricted to networks.
	address netip.Addr
}

// identify finds out whose key a request carries.
func (g *Gate) identify(r *http.Request) (caller, error) {
	text := Credential(r.Header)
	if text == "" {
		return caller{}, ledger.ErrUnknownKey
	}
	key, err := g.ledger.Authenticate(text)
	if err != nil {
		return caller{}, err
	}
	from := caller{key: key}
	if len(key.CIDRs) > 0 {
		from.address = g.clientAddress(r)
	}
	return from, nil
}

// authenticate finds the caller.
func (x *exchange) authenticate(r *http.Request) (refusal *dialect.Refusal) {
	var err error
	x.caller, err = x.gate.identify(r)
	switch {
	case errors.Is(err, ledger.ErrUnknownKey):
		return refuseKey()
	case err != nil:
		x.gate.logger.Error("key not checked", "request_id", x.request.id, "error", err)
		return refuseUnavailable()
	}
	return nil
}

// may returns nil if the caller may make a call that needs a permission, and otherwise
// why not. An empty permission allows any key, except that admin keys cannot run models.
func (c *caller) may(permission string) *dialect.Refusal {
	if c.key.Role == ledger.RoleAdmin {
		return refuseForbidden("an admin key cannot run models; use a member key")
	}
	return c.mayPass(permission)
}

// mayPass does what may does, for paths on which no model runs.
func (c *caller) mayPass(permission string) *dialect.Refusal {
	if c.key.Paused {
		return refusePaused()
	}
	if c.key.OwnerFrozen {
		return refuseFrozen()
	}
	if len(c.key.Permissions) > 0 && permission != "" && !slices.Contains(c.key.Permissions, permission) {
		return refuseForbidden("this key may not be used for " + permission)
	}
	if len(c.key.CIDRs) > 0 && !c.key.AllowsFrom(c.address) {
		return refuseForbidden("this key may not be used from this network")
	}
	return nil
}

// mayUse says whether the key may use a model.
func (c *caller) mayUse(model string) bool {
	return len(c.key.Models) == 0 || slices.Contains(c.key.Models, model)
}

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
