package balance

import (
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/penstockhq/penstock/caddymodule/internal/inflight"
)

func TestCallsThatPassByReverseProxyAreInFlightToo(t *testing.T) {
	pool := upstreams{{Dial: "inflight:1", Host: new(reverseproxy.Host)}}
	inflight.Of("inflight:1").Add(2)
	if n := pool.InFlight(0); n != 2 {
		t.Errorf("%d calls in flight, want 2", n)
	}
}
