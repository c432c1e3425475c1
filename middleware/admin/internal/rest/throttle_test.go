package rest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestAnAddressThatKeepsFailingIsShutOutAndComesBack(t *testing.T) {
	throttle := NewThrottle()
	now := time.Unix(1_800_000_000, 0)
	bad, good := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i := range FailureBurst {
		if wait := throttle.wait(bad, now); wait != 0 {
			t.Fatalf("attempt %d waits %s", i, wait)
		}
		throttle.fail(bad, now)
	}
	if wait := throttle.wait(bad, now); wait != FailureInterval {
		t.Fatalf("waits %s, want %s", wait, FailureInterval)
	}
	if wait := throttle.wait(good, now); wait != 0 {
		t.Fatalf("another address waits %s", wait)
	}
	if wait := throttle.wait(bad, now.Add(FailureInterval-time.Millisecond)); wait != time.Millisecond {
		t.Fatalf("waits %s one millisecond early", wait)
	}
	if wait := throttle.wait(bad, now.Add(FailureInterval)); wait != 0 {
		t.Fatalf("waits %s after the interval", wait)
	}
}

func TestTheThrottleKeepsABoundedNumberOfAddressesAndTheWorstOfThem(t *testing.T) {
	throttle := NewThrottle()
	now := time.Unix(1_800_000_000, 0)
	worst := netip.MustParseAddr("192.0.2.1")
	for range FailureBurst {
		throttle.fail(worst, now)
	}
	for i := range maxAddresses + 100 {
		throttle.fail(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)), now)
	}
	if len(throttle.paidUntil) > maxAddresses {
		t.Errorf("%d addresses are kept", len(throttle.paidUntil))
	}
	if throttle.wait(worst, now) == 0 {
		t.Error("many addresses washed the worst one out")
	}
}

func TestANetworkIsOneCaller(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := network(netip.MustParseAddr(text)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", text, got, want)
		}
	}
}
