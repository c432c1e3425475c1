package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// Authenticator returns the key whose text this is, or ledger.ErrUnknownKey.
type Authenticator interface {
	Authenticate(text string) (ledger.Key, error)
}

// Guard identifies callers and checks that they may call a route.
type Guard struct {
	Keys          Authenticator
	ClientAddress func(*http.Request) netip.Addr
	Throttle      *Throttle
	Now           func() time.Time
	// AdminKeySHA256 is the SHA-256 of a key for all owners that has no entry in the
	// ledger, so that the first keys can be made; nil: there is none.
	AdminKeySHA256 *[32]byte
}

// identify returns the caller of a route, or why they may not call it.
func (g *Guard) identify(r *http.Request, need Access) (ledger.Key, error) {
	if need == AccessAnyone {
		return ledger.Key{}, nil
	}
	client := g.ClientAddress(r).Unmap()
	text := middleware.Credential(r.Header)
	caller, err := g.authenticate(text)
	if errors.Is(err, ledger.ErrUnknownKey) {
		return ledger.Key{}, g.failed(text, network(client))
	}
	if err != nil {
		return ledger.Key{}, err
	}
	switch {
	case caller.Paused:
		return ledger.Key{}, Forbidden("key_paused", "Forbidden: this key is paused")
	case !caller.AllowsFrom(client):
		return ledger.Key{}, Forbidden("network_not_allowed", "Forbidden: this key may not be used from this network")
	case need >= AccessAdmin && caller.Role != ledger.RoleAdmin:
		return ledger.Key{}, Forbidden("admin_key_required", "Forbidden: this needs an admin key")
	case need == AccessOperator && !caller.AllOwners:
		return ledger.Key{}, Forbidden("all_owners_required", "Forbidden: this needs an admin key for all owners")
	}
	return caller, nil
}

// failed answers a key that is not valid. A valid key passes however many others failed
// from its address: behind a proxy or a NAT many callers share one, and nobody guesses
// a key of 190 random bits.
func (g *Guard) failed(text string, address netip.Addr) error {
	if text == "" {
		return unauthorized() // a probe without a key guesses nothing
	}
	now := g.Now()
	if wait := g.Throttle.wait(address, now); wait > 0 {
		return &Problem{
			Status: http.StatusTooManyRequests, Code: "too_many_failures", RetryAfter: wait,
			Message: "too many failed attempts to authenticate from this address",
		}
	}
	g.Throttle.fail(address, now)
	return unauthorized()
}

// authenticate returns the key whose text this is.
func (g *Guard) authenticate(text string) (ledger.Key, error) {
	if g.AdminKeySHA256 != nil && text != "" {
		sum := sha256.Sum256([]byte(text))
		if subtle.ConstantTimeCompare(sum[:], g.AdminKeySHA256[:]) == 1 {
			return ledger.Key{ID: "configured", Name: "configured admin key", Role: ledger.RoleAdmin, AllOwners: true}, nil
		}
	}
	return g.Keys.Authenticate(text)
}
