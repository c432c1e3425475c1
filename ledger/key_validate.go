package ledger

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/penstockhq/penstock/internal/clip"
	"github.com/penstockhq/penstock/limits"
)

// Bounds of what one key may carry.
const (
	maxKeyModels      = 1000
	maxKeyRows        = 1000
	maxKeyPermissions = 100
	maxKeyNetworks    = 100
	maxMetadata       = 64
	maxMetaKey        = 64
	maxMetaValue      = 1024
)

// normal checks a request and fills in the defaults.
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
	// The caller may reuse its slices, the ledger's are shared forever.
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

// limitsField is what a row is part of, as callers of the administration name it.
func limitsField(row *limits.Row) string {
	if row.Model != "" {
		return "model_limits"
	}
	return "limits"
}

// validMetadata checks what an admin attached to a key.
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

// ParseCIDRs reads networks such as 10.0.0.0/8 and single addresses.
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
