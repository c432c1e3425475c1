package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

// identify finds out who calls and whether they may.
func (h *Handler) identify(c *call, need access) error {
	if need == accessAnyone {
		return nil
	}
	now, client := h.now(), h.clientAddress(c.request).Unmap()
	address := network(client)
	if wait := h.throttle.wait(address, now); wait > 0 {
		return &problem{
			status: http.StatusTooManyRequests, code: "too_many_failures", retryAfter: wait,
			message: "too many failed attempts to authenticate from this address",
		}
	}
	text := middleware.Credential(c.request.Header)
	caller, err := h.authenticate(text)
	if errors.Is(err, ledger.ErrUnknownKey) {
		if text != "" { // a probe without a key guesses nothing
			h.throttle.fail(address, now)
		}
		return unauthorized()
	}
	if err != nil {
		return err
	}
	c.caller = caller
	switch {
	case !caller.AllowsFrom(client):
		return forbidden("network_not_allowed", "Forbidden: this key may not be used from this network")
	case need >= accessAdmin && caller.Role != ledger.RoleAdmin:
		return forbidden("admin_key_required", "Forbidden: this needs an admin key")
	case need == accessOperator && !caller.AllOwners:
		return forbidden("all_owners_required", "Forbidden: this needs an admin key for all owners")
	}
	return nil
}

// authenticate returns the key whose text this is. The configured admin key has
// no entry in the ledger; it exists so that the first keys can be made.
func (h *Handler) authenticate(text string) (ledger.Key, error) {
	if h.hasRootKey && text != "" {
		sum := sha256.Sum256([]byte(text))
		if subtle.ConstantTimeCompare(sum[:], h.rootKey[:]) == 1 {
			return ledger.Key{ID: "configured", Name: "configured admin key", Role: ledger.RoleAdmin, AllOwners: true}, nil
		}
	}
	return h.ledger.Authenticate(text)
}

// manages tells whether the caller may see and change what an owner has.
func (c *call) manages(owner string) bool {
	return c.caller.Role == ledger.RoleAdmin && (c.caller.AllOwners || c.caller.Owner == owner)
}

// outranked refuses to let an admin of one owner change a key for all owners,
// which may well belong to the same owner: its next text would be theirs.
func (c *call) outranked(key *ledger.Key) error {
	if key.AllOwners && !c.caller.AllOwners {
		return forbidden("all_owners_required", "Forbidden: this key can only be changed by an admin key for all owners")
	}
	return nil
}
