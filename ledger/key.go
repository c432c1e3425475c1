package ledger

import (
	"net/netip"
	"slices"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// Role is what a key may do.
type Role uint8

const (
	// RoleMember may infer and see its own usage.
	RoleMember Role = iota
	// RoleAdmin may manage keys and accounts, and may not infer.
	RoleAdmin
)

// String returns member or admin.
func (r Role) String() string {
	if r == RoleAdmin {
		return "admin"
	}
	return "member"
}

// Key is a snapshot of one key without its secret.
type Key struct {
	ID        string // public part of the key's text
	Name      string
	Owner     string // account that pays
	Hint      string // first 4 and last 4 characters of the key's text
	Role      Role
	AllOwners bool // an admin key that manages every owner
	Models    []string
	// Limits are the rows in force: at most one global row, any number of model rows.
	Limits []limits.Row
	// LimitsChange is the last change of Limits that did not act at once. It is kept
	// after it has taken effect.
	LimitsChange limits.Change
	Permissions  []string       // path classes; empty: all
	CIDRs        []netip.Prefix // client networks; empty: all
	HasBudget    bool
	Budget       Micro // what the key may ever spend, if HasBudget
	Held         Micro
	Spent        Micro
	Calls        int64 // that ran, ever
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
	RevokedAt    time.Time // zero: not revoked
	Metadata     map[string]string
	Version      int64 // grows by one with each change
}

// AllowsFrom says whether the key may be used from a client's address. IPv4
// addresses must come in their own form, see netip.Addr.Unmap.
func (k *Key) AllowsFrom(address netip.Addr) bool {
	return len(k.CIDRs) == 0 ||
		slices.ContainsFunc(k.CIDRs, func(network netip.Prefix) bool { return network.Contains(address) })
}

// NewKey is what a key is made from. All but Name have a default.
type NewKey struct {
	Name        string
	Owner       string // created if unknown; empty: "default"
	Role        Role
	AllOwners   bool
	Models      []string
	Limits      []limits.Row
	Permissions []string
	CIDRs       []netip.Prefix
	HasBudget   bool
	Budget      Micro
	ExpiresAt   time.Time
	Metadata    map[string]string
	// UniqueName refuses a name that a key of this owner has which is not revoked,
	// with ErrNameTaken. Of two requests at once that ask for it one gets the name.
	UniqueName bool
}

// LimitsFor appends to bindings the limits that apply to the key's calls of a model,
// with what they were where a change has yet to take effect.
func (k *Key) LimitsFor(bindings []limits.Binding, model string) []limits.Binding {
	return limits.Applying(bindings, k.Limits, k.LimitsChange, model)
}

// KeyState is whether a key can be used.
type KeyState uint8

const (
	// AnyState matches all keys. It is the zero value.
	AnyState KeyState = iota
	// StateActive is a key that can be used.
	StateActive
	// StateExpired is a key past its expiry.
	StateExpired
	// StateRevoked is a key that was revoked.
	StateRevoked
)

// State returns what state a key is in at a moment.
func (k Key) State(now time.Time) KeyState {
	switch {
	case !k.RevokedAt.IsZero():
		return StateRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StateExpired
	default:
		return StateActive
	}
}
