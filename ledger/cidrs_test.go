package ledger_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

func TestNetworksMatchTheAddressesThatCallersComeFrom(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3/8":          "[10.0.0.0/8]",
		"10.1.2.3":            "[10.1.2.3/32]",
		"::1":                 "[::1/128]",
		"::ffff:10.0.0.0/104": "[10.0.0.0/8]", // IPv4 in the form of IPv6
		"::ffff:10.1.2.3":     "[10.1.2.3/32]",
		"::ffff:10.0.0.0/90":  "refused",
		"10.0.0.0/40":         "refused",
		"nowhere":             "refused",
	} {
		networks, err := ledger.ParseCIDRs([]string{text})
		got := fmt.Sprint(networks)
		if invalid := (*ledger.InvalidError)(nil); errors.As(err, &invalid) && invalid.Field == "cidrs" {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", text, got, err, want)
		}
	}
}
