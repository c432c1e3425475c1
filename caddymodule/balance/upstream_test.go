package balance

import "testing"

func TestOnlyPenstockBackendsAreTrustedByDefault(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		upstream Upstream
		want     bool
	}{
		{Upstream{}, false},
		{Upstream{Kind: KindVLLM}, false},
		{Upstream{Kind: KindPenstock}, true},
		{Upstream{Kind: KindPenstock, Trusted: &no}, false},
		{Upstream{Kind: KindTGI, Trusted: &yes}, true},
	}
	for _, test := range tests {
		if got := test.upstream.IsTrusted(); got != test.want {
			t.Errorf("kind %q, trusted %v: got %v, want %v", test.upstream.Kind, test.upstream.Trusted, got, test.want)
		}
	}
}

func TestAListingKnowsEachAddressOnce(t *testing.T) {
	listed, err := newListing([]Upstream{{Address: "a:1", Weight: new(3)}, {Address: "b:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := listed.find("a:1"); *got.Weight != 3 {
		t.Errorf("of a:1 it says %+v", got)
	}
	if got := listed.find("c:1"); got.Address != "c:1" || got.Weight != nil {
		t.Errorf("of an address that is not listed it says %+v", got)
	}
	if _, err := newListing([]Upstream{{Address: "a:1"}, {Address: "a:1"}}); err == nil {
		t.Error("two upstreams with one address were taken")
	}
}
