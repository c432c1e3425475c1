package balance

import (
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestTheCoolDownIsReadFromACaddyfile(t *testing.T) {
	for text, want := range map[string][2]time.Duration{
		"":                  {DefaultCoolDown, DefaultMaxCoolDown},
		"cool_down 2s":      {2 * time.Second, DefaultMaxCoolDown},
		"cool_down 2s 1m":   {2 * time.Second, time.Minute},
		"cool_down off":     {-1, DefaultMaxCoolDown},
		"cool_down 1h":      {time.Hour, DefaultMaxCoolDown}, // NewCooling takes the longer one
		"cool_down off 1s":  {},
		"cool_down 1s 1s x": {},
	} {
		policy := new(Policy)
		err := policy.UnmarshalCaddyfile(caddyfile.NewTestDispenser("penstock {\n" + text + "\n}"))
		if want == ([2]time.Duration{}) {
			if err == nil {
				t.Errorf("%q is taken", text)
			}
			continue
		}
		if first, longest := policy.coolDowns(); err != nil || first != want[0] || longest != want[1] {
			t.Errorf("%q: %s to %s, %v", text, first, longest, err)
		}
	}
}

func TestAnUnknownOptionNamesTheKnownOnes(t *testing.T) {
	err := new(Policy).UnmarshalCaddyfile(caddyfile.NewTestDispenser("penstock {\ncooldown 1s\n}"))
	if err == nil || !strings.Contains(err.Error(), "known: upstream, cool_down, gateways") {
		t.Error(err)
	}
}
