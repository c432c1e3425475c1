package ledger

import (
	"net/netip"
	"slices"
	"time"
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

// Limits is one row of limits of a key. A zero field sets no limit.
type Limits struct {
	Model       string `json:"model,omitempty"` // empty: the whole key
	RPM         int64  `json:"rpm"`
	TPM         int64  `json:"tpm"`
	RPD         int64  `json:"rpd"`
	TPD         int64  `json:"tpd"`
	MaxInFlight int64  `json:"max_in_flight"`
	TokenType   string `json:"token_type"` // total, input or output
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
	Limits []Limits
	// PreviousLimits are the rows before LimitsChangedAt, kept while a change
	// waits for the next window; nil when changes act at once.
	PreviousLimits  []Limits
	LimitsChangedAt time.Time
	Scopes          []string       // path classes; empty: all
	CIDRs           []netip.Prefix // client networks; empty: all
	HasBudget       bool
	Budget          Micro // what the key may ever spend, if HasBudget
	Held            Micro
	Spent           Micro
	Calls           int64 // that ran, ever
	CreatedAt       time.Time
	ExpiresAt       time.Time // zero: never
	RevokedAt       time.Time // zero: not revoked
	Metadata        map[string]string
	Version         int64 // grows by one with each change
}

// AllowsFrom says whether the key may be used from a client's address. IPv4
// addresses must come in their own form, see netip.Addr.Unmap.
func (k *Key) AllowsFrom(address netip.Addr) bool {
	return len(k.CIDRs) == 0 ||
		slices.ContainsFunc(k.CIDRs, func(network netip.Prefix) bool { return network.Contains(address) })
}

// PreviousBind says which of the limits from before a change are in force at now:
// those per minute until the next full minute, those per day until the next
// midnight in zone.
func PreviousBind(changed, now time.Time, zone *time.Location) (minute, day bool) {
	return now.Before(changed.Truncate(time.Minute).Add(time.Minute)),
		now.In(zone).Format(time.DateOnly) <= changed.In(zone).Format(time.DateOnly)
}

// NewKey is what a key is made from. All but Name have a default.
type NewKey struct {
	Name      string
	Owner     string // created if unknown; empty: "default"
	Role      Role
	AllOwners bool
	Models    []string
	Limits    []Limits
	Scopes    []string
	CIDRs     []netip.Prefix
	HasBudget bool
	Budget    Micro
	ExpiresAt time.Time
	Metadata  map[string]string
	// UniqueName refuses a name that a key of this owner has which is not revoked,
	// with ErrNameTaken. Of two requests at once that ask for it one gets the name.
	UniqueName bool
}
