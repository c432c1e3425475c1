package httplimit

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestClientsAreNamedByWhatProxiesThatAreTrustedSay(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct {
		name, peer   string
		forwarded    []string
		address, hop string // by ByAddress, by ByForwarded
	}{
		{"a client", "198.51.100.7:4711", nil, "198.51.100.7", "198.51.100.7"},
		{"one that pretends", "198.51.100.7:4711", []string{"203.0.113.9"}, "198.51.100.7", "198.51.100.7"},
		{"behind a proxy", "10.1.2.3:80", []string{"203.0.113.9"}, "10.1.2.3", "203.0.113.9"},
		{"that pretends there", "10.1.2.3:80", []string{"192.0.2.1, 203.0.113.9"}, "10.1.2.3", "203.0.113.9"},
		{"behind two", "10.1.2.3:80", []string{"192.0.2.1", "203.0.113.9, 10.9.9.9"}, "10.1.2.3", "203.0.113.9"},
		{"all of them are proxies", "10.1.2.3:80", []string{"10.0.0.1"}, "10.1.2.3", "10.0.0.1"},
		{"a proxy that says nothing", "10.1.2.3:80", nil, "10.1.2.3", "10.1.2.3"},
		{"a proxy that was told nonsense", "10.1.2.3:80", []string{"203.0.113.9, unknown"}, "10.1.2.3", "10.1.2.3"},
		{"IPv6", "[2001:db8:1:2:3::4]:4711", nil, "2001:db8:1:2::/64", "2001:db8:1:2::/64"},
		{"IPv6 behind a proxy", "[fd00::1]:80", []string{"2001:db8::1"}, "fd00::/64", "2001:db8::/64"},
		{"IPv4 in IPv6", "[::ffff:198.51.100.7]:4711", nil, "198.51.100.7", "198.51.100.7"},
		{"an address with a zone", "[fe80::1%eth0]:4711", nil, "fe80::/64", "fe80::/64"},
		{"a Unix socket", "@", []string{"203.0.113.9"}, "", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.peer
		for _, line := range test.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := ByAddress(r); got != test.address {
			t.Errorf("%s: the address is %q, want %q", test.name, got, test.address)
		}
		if got := ByForwarded(proxies...)(r); got != test.hop {
			t.Errorf("%s: forwarded for %q, want %q", test.name, got, test.hop)
		}
		if got := ByForwarded()(r); got != test.address {
			t.Errorf("%s: without proxies %q, want %q", test.name, got, test.address)
		}
	}
}
