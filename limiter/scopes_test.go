package limiter

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/penstockhq/penstock/limits"
)

func TestRowOfANewTokenTypeSeesTheWholeWindow(t *testing.T) {
	for _, strict := range [][]Option{nil, {WithStrict()}} {
		clock := newFakeClock()
		m := New(append(strict, WithClock(clock))...)
		tpd := int64(0)
		call := func(input, output int64, kind limits.TokenType) Request {
			return Request{Key: "key", Tokens: Tokens{input, output}, Rows: global(limits.Row{TPM: 100, TPD: tpd, TokenType: kind})}
		}
		handle := admit(t, m, call(60, 20, limits.Total))
		if refusal := refuse(t, m, call(41, 0, limits.Input)); refusal.Rule != limits.TPM || refusal.Used < 60 {
			t.Errorf("refusal is %+v, want at least the 60 input tokens of the window", refusal)
		}
		settle(t, m, handle, Tokens{60, 20})
		clock.advance(time.Minute)
		tpd = 100
		if refusal := refuse(t, m, call(41, 0, limits.Input)); refusal.Rule != limits.TPD || refusal.Used != 60 {
			t.Errorf("refusal is %+v, want the 60 input tokens of the day", refusal)
		}
		admit(t, m, call(40, 0, limits.Input))
		if refusal := refuse(t, m, call(0, 81, limits.Output)); refusal.Rule != limits.TPD || refusal.Used != 20 {
			t.Errorf("refusal is %+v, want the 20 output tokens of the day", refusal)
		}
	}
}

func TestKeysBeyondTheCapAreLimitedTogetherUntilTheSharedScopeIsIdle(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock), WithMaxKeys(2))
	rows := []limits.Binding{{Row: limits.Row{RPM: 5}}, {Row: limits.Row{Model: "tiny", RPM: 5}}}
	call := func(key string) Request { return Request{Key: key, Model: "tiny", Rows: rows} }
	admit(t, m, call("first"))
	names := sameShard(m, "first", 3)
	for range 5 {
		decision, err := m.Reserve(background, call(names[0]))
		if err != nil || !decision.Admitted {
			t.Fatalf("a key beyond the cap: %+v %v", decision, err)
		}
		settle(t, m, decision.Handle, Tokens{})
	}
	for _, key := range names {
		if refusal := refuse(t, m, call(key)); refusal.Used < 5 {
			t.Errorf("%s sees %d requests, want those of all keys beyond the cap", key, refusal.Used)
		}
	}
	if view := usage(t, m, call(names[0])); !view.Scopes[0].Shared {
		t.Errorf("usage does not tell that the scope is shared: %+v", view.Scopes[0])
	}
	m.maxKeys = 100 // as if other keys had been forgotten
	refuse(t, m, call(names[0]))
	clock.advance(13 * time.Hour) // past midnight
	for range 5 {
		admit(t, m, call(names[0]))
		admit(t, m, call(names[1]))
	}
}

// sameShard returns names of keys that live in the shard of a key.
func sameShard(m *Memory, key string, n int) []string {
	shard := shardNumber(m.names.key(key))
	var names []string
	for i := 0; len(names) < n; i++ {
		if name := fmt.Sprint("key ", i); shardNumber(m.names.key(name)) == shard {
			names = append(names, name)
		}
	}
	return names
}

func TestFloodOfRandomKeysTakesBoundedMemory(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock), WithMaxKeys(5000))
	rows := global(limits.Row{RPM: 1 << 30})
	for i := range 100_000 {
		decision, err := m.Reserve(background, Request{Key: fmt.Sprint(i, "-", i*7919), Rows: rows})
		if err != nil || !decision.Admitted {
			t.Fatal(decision, err)
		}
		if i%2 == 0 {
			settle(t, m, decision.Handle, Tokens{})
		} else if err := m.Cancel(background, decision.Handle); err != nil {
			t.Fatal(err)
		}
		clock.advance(10 * time.Microsecond)
	}
	scopes := 0
	for i := range m.shards {
		scopes += int(m.shards[i].length)
	}
	if most := 6000; scopes > most { // shards peak at different times
		t.Errorf("%d scopes are kept, want at most %d", scopes, most)
	}
}

func TestIdleScopesAreForgotten(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	const keys = 4_000
	rows := global(limits.Row{TokenType: limits.Output})
	for range 10 {
		for i := range keys {
			handle := admit(t, m, Request{Key: key(i), Tokens: Tokens{Output: 1}, Rows: rows})
			settle(t, m, handle, Tokens{Output: 2})
		}
		clock.advance(time.Second)
	}
	pinned := admit(t, m, Request{Key: key(7), Rows: rows})
	clock.advance(36 * time.Hour)
	for i := range 20 * keys { // every fourth call looks at one scope of its shard
		settle(t, m, admit(t, m, Request{Key: key(i % 1000)}), Tokens{})
	}
	if n := m.scopes.Load(); n > 1200 {
		t.Errorf("%d scopes are kept, want those of the last minute", n)
	}
	pages := 0
	for i := range m.shards {
		pages += len(m.shards[i].blocks.pages) - len(m.shards[i].blocks.vacant)
	}
	if pages > 2*shardCount {
		t.Errorf("%d pages of logs are kept", pages)
	}
	if view := usage(t, m, Request{Key: key(7)}); view.Scopes[0].InFlight != 1 {
		t.Errorf("a key with a call in flight was forgotten: %+v", view.Scopes[0])
	}
	settle(t, m, pinned, Tokens{})
}

func TestReservationsThatNobodySettlesLapse(t *testing.T) {
	for _, strict := range [][]Option{nil, {WithStrict()}} {
		clock := newFakeClock()
		m := New(append(strict, WithClock(clock))...)
		rows := global(limits.Row{MaxInFlight: 1, TPM: 100})
		request := outputCall(40, rows)
		request.Timeout = 10 * time.Second
		handle := admit(t, m, request)
		clock.advance(69 * time.Second)
		for range 100 {
			refuse(t, m, request)
		}
		clock.advance(2 * time.Second)
		for range 100 { // refusals go round the reservations too
			if decision, err := m.Reserve(background, request); err != nil || decision.Admitted {
				break
			}
		}
		if err := m.Settle(background, handle, Tokens{}); !errors.Is(err, ErrResolved) {
			t.Errorf("settling a call that lapsed gives %v, want ErrResolved", err)
		}
	}
}

// countingClock counts how often the time is asked for.
type countingClock struct {
	fakeClock
	reads int
}

func (c *countingClock) Monotonic() time.Duration {
	c.reads++
	c.advance(300 * time.Microsecond)
	return c.fakeClock.Monotonic()
}

func TestDecisionsReadTheClockOnce(t *testing.T) {
	clock := &countingClock{fakeClock: *newFakeClock()}
	m := New(WithClock(clock))
	rows := global(limits.Row{RPM: 3, TPM: 100})
	for range 1000 {
		before := clock.reads
		decision, err := m.Reserve(background, outputCall(30, rows))
		if err != nil {
			t.Fatal(err)
		}
		if !decision.Admitted && decision.Refusal.RetryAfter < time.Millisecond {
			t.Fatalf("refused for %v", decision.Refusal.RetryAfter)
		}
		if n := clock.reads - before; n != 1 {
			t.Fatalf("the clock was read %d times", n)
		}
		clock.advance(100 * time.Millisecond)
	}
}

func TestClockThatRunsBackwardsStandsStill(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	rows := global(limits.Row{RPM: 1})
	clock.advance(time.Hour)
	admit(t, m, outputCall(0, rows))
	clock.advance(-30 * time.Minute)
	if refusal := refuse(t, m, outputCall(0, rows)); refusal.RetryAfter != time.Minute {
		t.Errorf("the wait is %v, want 1m0s", refusal.RetryAfter)
	}
}

func TestRingsGiveTheirMemoryBack(t *testing.T) {
	var b blocks
	var references []ref
	for i := range 5000 {
		references = append(references, b.allocate(uint32(i%maxClass+1)%10+1))
	}
	seen := map[*uint64]bool{}
	for _, reference := range references {
		words := b.words(reference)
		if len(words) != classWords(reference.class()) || seen[&words[0]] {
			t.Fatalf("block %x has %d words or is handed out twice", reference, len(words))
		}
		seen[&words[0]] = true
	}
	for _, reference := range references {
		b.release(reference)
	}
	kept := 0
	for _, page := range b.pages {
		if page != nil {
			kept++
		}
	}
	for _, words := range b.large {
		if words != nil {
			kept++
		}
	}
	if kept != 0 || len(b.spare) != maxSpare {
		t.Errorf("%d pages are in use and %d spare, want 0 and %d", kept, len(b.spare), maxSpare)
	}
}

func TestLimiterWithoutCallsIsSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := New()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if size := int64(after.HeapAlloc) - int64(before.HeapAlloc); size > 256<<10 {
		t.Errorf("an empty limiter takes %d bytes", size)
	}
	runtime.KeepAlive(m)
}

func TestScopeWithDebtOfOneDirectionIsKept(t *testing.T) {
	clock := newFakeClock()
	clock.set(clock.Wall().Add(12*time.Hour - 70*time.Second)) // the day ends before the debt does
	m := New(WithClock(clock))
	rows := global(limits.Row{TPM: 100, TokenType: limits.Input})
	handle := admit(t, m, Request{Key: "key", Tokens: Tokens{Output: 90}, Rows: rows})
	clock.advance(59 * time.Second)
	settle(t, m, handle, Tokens{Input: 90}) // as many in all
	clock.advance(20 * time.Second)
	for _, other := range sameShard(m, "key", 50) {
		admit(t, m, Request{Key: other})
	}
	if refusal := refuse(t, m, Request{Key: "key", Tokens: Tokens{Input: 11}, Rows: rows}); refusal.Used != 90 {
		t.Errorf("%d tokens are used, want 90", refusal.Used)
	}
}
