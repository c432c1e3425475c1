package ledger

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
	"github.com/penstockhq/penstock/limits"
)

// Role says what a key may be used for.
type Role uint8

const (
	// RoleMember may call models and see its own usage.
	RoleMember Role = iota
	// RoleAdmin may manage keys and accounts, and may not call models.
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
	AllOwners bool     // an admin key that manages every owner
	Models    []string // that it may call; empty: all
	// Limits are at most one row for all calls, and rows for single models.
	Limits []limits.Row
	// LimitsChange is the last change of Limits that was made for the next window. It is
	// kept after it has taken effect.
	LimitsChange limits.Change
	Permissions  []string       // path classes; empty: all
	CIDRs        []netip.Prefix // client networks; empty: all
	HasBudget    bool
	Budget       Micro // the most that the key may ever spend, if HasBudget
	Held         Micro // for its running calls
	Spent        Micro
	Calls        int64 // number of calls that ran
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: never
	RevokedAt    time.Time // zero: not revoked
	LastUsedAt   time.Time // when its last call ended; zero: none did
	Metadata     map[string]string
	Version      int64 // grows by one with each change
	Paused       bool  // no call runs with it until it is resumed
	OwnerFrozen  bool  // no call runs with any key of its owner
}

// AllowsFrom reports whether the key may be used from a client's address. An IPv4
// address must not be in its IPv6 form, see netip.Addr.Unmap.
func (k *Key) AllowsFrom(address netip.Addr) bool {
	return len(k.CIDRs) == 0 ||
		slices.ContainsFunc(k.CIDRs, func(network netip.Prefix) bool { return network.Contains(address) })
}

// NewKey describes a key to be made. All fields but Name have a default.
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
	// UniqueName refuses, with ErrNameTaken, a name that another key of the owner has
	// that is not revoked. If two requests with UniqueName ask for one name at the same
	// time, one of them gets it.
	UniqueName bool
	// Idempotency makes the same request give the same key.
	Idempotency Idempotency
}

// LimitsFor appends to bindings the limits that apply to the key's calls of a model, and
// their previous values where a change has yet to take effect.
func (k *Key) LimitsFor(bindings []limits.Binding, model string) []limits.Binding {
	return limits.Applying(bindings, k.Limits, k.LimitsChange, model)
}

// KeyState says whether a key can be used.
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
	// StatePaused is a key that can be used again once it is resumed.
	StatePaused
)

// State returns the state of the key at a moment.
func (k Key) State(now time.Time) KeyState {
	switch {
	case !k.RevokedAt.IsZero():
		return StateRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StateExpired
	case k.Paused:
		return StatePaused
	default:
		return StateActive
	}
}

// The maximum numbers of things in one key, and of bytes in its metadata.
const (
	maxKeyModels      = 1000
	maxKeyRows        = 1000
	maxKeyPermissions = 100
	maxKeyNetworks    = 100
	maxMetadata       = 64
	maxMetaKey        = 64
	maxMetaValue      = 1024
)

// normal returns the request with its defaults, or an *InvalidError.
func (r NewKey) normal() (NewKey, error) {
	if r.Owner == "" {
		r.Owner = defaultOwner
	}
	if r.Role > RoleAdmin {
		return r, &InvalidError{Field: "role", Reason: "must be member or admin"}
	}
	if r.AllOwners && r.Role != RoleAdmin {
		return r, &InvalidError{Field: "all_owners", Reason: "is for admin keys only"}
	}
	if r.HasBudget && (r.Budget < 0 || r.Budget > MaxMicro) {
		return r, &InvalidError{Field: "budget", Reason: fmt.Sprintf("is not between 0 and %s credits", MaxMicro)}
	}
	for _, check := range []error{
		validText("name", r.Name, 1, maxName),
		validText("owner", r.Owner, 1, maxAccountID),
		validTexts("models", r.Models, maxKeyModels, maxModelName),
		validTexts("permissions", r.Permissions, maxKeyPermissions, maxModelName),
		validLimits(r.Limits),
		validMetadata(r.Metadata),
		r.Idempotency.validate(),
	} {
		if check != nil {
			return r, check
		}
	}
	if len(r.CIDRs) > maxKeyNetworks {
		return r, &InvalidError{Field: "cidrs", Reason: fmt.Sprintf("more than %d networks", maxKeyNetworks)}
	}
	for _, network := range r.CIDRs {
		if !network.IsValid() {
			return r, &InvalidError{Field: "cidrs", Reason: "contains an invalid network"}
		}
	}
	// The ledger keeps its slices forever, and the caller may change its own.
	r.Models, r.Limits, r.Permissions, r.CIDRs = slices.Clone(r.Models), slices.Clone(r.Limits), slices.Clone(r.Permissions), slices.Clone(r.CIDRs)
	return r, nil
}

// validTexts checks a list of names.
func validTexts(field string, texts []string, most, longest int) error {
	if len(texts) > most {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("more than %d items", most)}
	}
	for i, text := range texts {
		if err := validText(fmt.Sprintf("%s[%d]", field, i), text, 1, longest); err != nil {
			return err
		}
	}
	return nil
}

// validLimits checks rows of limits.
func validLimits(rows []limits.Row) error {
	if len(rows) > maxKeyRows {
		return &InvalidError{Field: "limits", Reason: fmt.Sprintf("more than %d rows", maxKeyRows)}
	}
	for _, row := range rows {
		if err := validText(limitsField(&row)+".model", row.Model, 0, maxModelName); err != nil {
			return err
		}
	}
	at, err := limits.CheckRows(rows)
	var wrong *limits.ValueError
	if !errors.As(err, &wrong) {
		return err
	}
	field := limitsField(&rows[at])
	if wrong.Field != "" {
		field += "." + wrong.Field
	}
	return &InvalidError{Field: field, Reason: wrong.Reason}
}

// limitsField returns the name of the list that a row is part of in the JSON of the
// administration.
func limitsField(row *limits.Row) string {
	if row.Model != "" {
		return "model_limits"
	}
	return "limits"
}

// validMetadata checks the metadata of a key.
func validMetadata(metadata map[string]string) error {
	if len(metadata) > maxMetadata {
		return &InvalidError{Field: "metadata", Reason: fmt.Sprintf("more than %d members", maxMetadata)}
	}
	for key, value := range metadata {
		if err := validText("metadata", key, 1, maxMetaKey); err != nil {
			return err
		}
		if err := validText("metadata."+key, value, 0, maxMetaValue); err != nil {
			return err
		}
	}
	return nil
}

// ParseCIDRs reads networks such as 10.0.0.0/8 and single addresses. The error wraps
// ErrInvalid.
func ParseCIDRs(texts []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			address, addressErr := netip.ParseAddr(text)
			if addressErr != nil {
				return nil, &InvalidError{Field: "cidrs", Reason: fmt.Sprintf("%q is neither a network nor an address", clip.Text(text))}
			}
			network = netip.PrefixFrom(address, address.BitLen())
		}
		if network.Addr().Is4In6() { // callers' addresses never come in this form
			if network.Bits() < 96 {
				return nil, &InvalidError{Field: "cidrs", Reason: fmt.Sprintf("%q reaches beyond IPv4", clip.Text(text))}
			}
			network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-96)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}
