package redisstore

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// faults are mistakes in the scripts that the suite must find: text that occurs once in
// one of them, and what stands there instead.
var faults = []struct{ name, before, after string }{
	{"entries leave a millisecond early", "c.expiry = at + W end", "c.expiry = at + W - 1 end"},
	{"entries leave a millisecond late", "c.expiry = at + W end", "c.expiry = at + W + 1 end"},
	{"merging keeps the older stamp", "last[1], last[2], last[3] = at, last[2] + r", "last[1], last[2], last[3] = last[1], last[2] + r"},
	{"merged slots are twice as wide", "floor(2 * W / entries)", "floor(4 * W / entries)"},
	{"full entries overflow", "min(t, MAXT - c.tt)", "t"},
	{"rings that wrap around are not straightened", "sub(ring, c.head * SIZE + 1) .. sub(ring, 1, c.head * SIZE)", "ring"},
	{"refunds are lost", "refund(c, ended.stamp, 0, left)", "_ = 0"},
	{"refunds are taken from the newest entry", "% 4294967296 < at then low", "% 4294967296 < at or true then low"},
	{"refunds of what has left are taken from others", "or at + W <= ms then return", "then return"},
	{"debt is forgotten", "add(c, stamp, 0, -left)", "_ = 0"},
	{"calls in flight leak", "s.inflight = max(0, s.inflight - 1)", "s.inflight = s.inflight"},
	{"canceled requests stay", "refund(s, ended.stamp, 1, 0)", "_ = 0"},
	{"refunds of yesterday are taken from today", "if left < 0 or ended.date == day then", "if true then"},
	{"canceled requests of yesterday are taken from today", "if ended.date == day and s.dreq > 0", "if s.dreq > 0"},
	{"strict holds are not released", "c.held = max(0, c.held - ended[kind])", "c.held = c.held"},
	{"the day does not end", "if s.date ~= day then s.date", "if s.date == 0 then s.date"},
	{"a new direction starts at zero", "add(c, at, 0, t) end)", "add(c, at, 0, 0) end)"},
	{"the model is not charged", "charge(m)\n", "\n"},
	{"a call of a model too many in flight", "elseif s.inflight + one > limit", "elseif s.inflight > limit"},
	{"one request too many", "if used > limit and one > 0 then", "if used > limit + 1 and one > 0 then"},
	{"changed limits act at once", "til > 0 and wall >= til", "til > 0"},
	{"headroom is that of the last limit", "max(0, limit - used) < tleft", "true"},
}

// TestFaultsOfScriptsAreFound runs the suite, and tests of what it meets seldom, for each
// fault: it must fail. It takes some minutes and runs where PENSTOCK_MUTANTS is set.
func TestFaultsOfScriptsAreFound(t *testing.T) {
	sources := counterSource + admitSource + settleSource
	for _, fault := range faults {
		if n := strings.Count(sources, fault.before); n != 1 {
			t.Errorf("%s: %q occurs %d times", fault.name, fault.before, n)
		}
	}
	if os.Getenv("PENSTOCK_MUTANTS") == "" {
		t.Skip("PENSTOCK_MUTANTS is not set")
	}
	startServer(t) // or skip
	for _, fault := range faults {
		command := exec.Command(os.Args[0], "-test.run=^(TestRefundsOfYesterdayAreNotTakenFromToday|TestRowOfANewTokenTypeSeesTheWholeWindow|TestStoreAgreesWithTheOracleAndWithMemory)$", "-test.failfast", "-rapid.shrinktime=1ms", "-test.timeout=5m")
		command.Env = append(os.Environ(), "PENSTOCK_MUTANTS=", "PENSTOCK_LIMITER_CHECKS=300", "PENSTOCK_REDIS_FAULT="+fault.name)
		if output, err := command.CombinedOutput(); err == nil {
			t.Errorf("nothing finds: %s\n%s", fault.name, output)
		}
	}
}

// planted returns the fault that the environment names, as an option.
func planted() []Option {
	for _, fault := range faults {
		if fault.name == os.Getenv("PENSTOCK_REDIS_FAULT") {
			return []Option{withFault(fault.before, fault.after)}
		}
	}
	return nil
}
