package runtime

import (
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestADetachedRequestSharesNoVariables(t *testing.T) {
	w := httptest.NewRecorder()
	r := prepared(w)
	caddyhttp.SetVar(r.Context(), "before", "x")
	copied := Detached(w, r)
	caddyhttp.SetVar(r.Context(), "later", "y")
	replacer(r).Set("later", "y")
	if got := caddyhttp.GetVar(copied.Context(), "before"); got != "x" {
		t.Errorf("a variable set before is %v", got)
	}
	if got := caddyhttp.GetVar(copied.Context(), "later"); got != nil {
		t.Errorf("a variable set later is %v", got)
	}
	if got, known := replacer(copied).Get("later"); known {
		t.Errorf("a placeholder set later is %v", got)
	}
}

func TestTheClientAddressIsTheOneThatCaddyFound(t *testing.T) {
	for text, want := range map[string]netip.Addr{
		"10.1.2.3":        netip.MustParseAddr("10.1.2.3"),
		"::ffff:10.1.2.3": netip.MustParseAddr("10.1.2.3"),
		"":                {},
		"nonsense":        {},
	} {
		r := prepared(httptest.NewRecorder())
		caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, text)
		if got := ClientAddress(r); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
