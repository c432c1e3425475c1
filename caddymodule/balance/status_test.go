package balance

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func TestTheStatusCountsUpstreamsThatFail(t *testing.T) {
	p := &Policy{Upstreams: []Upstream{{Address: "a:1", Kind: KindVLLM}}}
	p.coolings.first, p.coolings.longest = p.coolDowns()
	var err error
	if p.listed, err = newListing(p.Upstreams); err != nil {
		t.Fatal(err)
	}
	if err := p.bind(&reverseproxy.Handler{Upstreams: reverseproxy.UpstreamPool{{Dial: "a:1"}, {Dial: "b:1"}}}); err != nil {
		t.Fatal(err)
	}
	if got := p.Status(); got != (Status{Upstreams: 2}) {
		t.Errorf("at first: %+v", got)
	}
	p.coolings.find("b:1").Failed()
	if got := p.Status(); got != (Status{Upstreams: 2, Failing: 1}) {
		t.Errorf("after a failure: %+v", got)
	}
	if listed := p.Listed(); len(listed) != 2 || listed[0].Kind != KindVLLM || listed[1].Address != "b:1" {
		t.Errorf("listed %+v", listed)
	}
	if first, longest := p.coolDowns(); first != time.Second || longest != 30*time.Second {
		t.Errorf("by default upstreams wait %s to %s", first, longest)
	}
}
