package limiter

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstockhq/penstock/limits"
)

func TestRequestsAreCountedInEveryRollingMinute(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	rows := global(limits.Row{RPM: 2})
	clock.advance(500 * time.Microsecond)
	admit(t, m, outputCall(0, rows))
	clock.advance(30 * time.Second)
	admit(t, m, outputCall(0, rows))
	refusal := refuse(t, m, outputCall(0, rows))
	want := Refusal{Rule: limits.RPM, Limit: 2, Used: 2, Needed: 1, RetryAfter: 30001 * time.Millisecond}
	if refusal != want {
		t.Errorf("refusal is %+v, want %+v", refusal, want)
	}
	clock.advance(refusal.RetryAfter - time.Millisecond)
	if again := refuse(t, m, outputCall(0, rows)); again.RetryAfter != time.Millisecond {
		t.Errorf("one ms early the wait is %v, want 1ms", again.RetryAfter)
	}
	clock.advance(time.Millisecond)
	admit(t, m, outputCall(0, rows))
}

func TestAllRulesBindTogetherAndTheLongestWaitIsNamed(t *testing.T) {
	base := limits.Row{RPM: 10, TPM: 1000, RPD: 10, TPD: 1000, MaxInFlight: 10}
	for _, test := range []struct {
		name   string
		limits limits.Row
		used   int64
		needed int64
		want   Refusal
	}{
		{"requests per minute", limits.Row{RPM: 1}, 1, 1, Refusal{Rule: limits.RPM, Limit: 1, Used: 1, Needed: 1, RetryAfter: time.Minute}},
		{"tokens per minute", limits.Row{TPM: 100}, 60, 41, Refusal{Rule: limits.TPM, Limit: 100, Used: 60, Needed: 41, RetryAfter: time.Minute}},
		{"requests per day", limits.Row{RPD: 1}, 1, 1, Refusal{Rule: limits.RPD, Limit: 1, Used: 1, Needed: 1, RetryAfter: 12 * time.Hour}},
		{"tokens per day", limits.Row{TPD: 100}, 60, 41, Refusal{Rule: limits.TPD, Limit: 100, Used: 60, Needed: 41, RetryAfter: 12 * time.Hour}},
		{"in flight", limits.Row{MaxInFlight: 1}, 1, 1, Refusal{Rule: limits.MaxInFlight, Limit: 1, Used: 1, Needed: 1, RetryAfter: 5001 * time.Millisecond, Hint: true}},
		{"minute and day", limits.Row{RPM: 1, RPD: 1}, 1, 1, Refusal{Rule: limits.RPD, Limit: 1, Used: 1, Needed: 1, RetryAfter: 12 * time.Hour}},
		{"more than the limit", limits.Row{TPM: 100}, 1, 101, Refusal{Rule: limits.TPM, Limit: 100, Used: 1, Needed: 101, Never: true}},
	} {
		for _, model := range []string{"", "tiny"} {
			t.Run(test.name+" "+model, func(t *testing.T) {
				m := New(WithClock(newFakeClock()))
				rows := []limits.Binding{{Row: base}, {Row: base.For("tiny")}, {Row: test.limits.For(model)}}
				request := Request{Key: "key", Model: "tiny", Tokens: Tokens{Output: test.used}, Rows: rows, Timeout: 5 * time.Second}
				admit(t, m, request)
				request.Tokens.Output = test.needed
				test.want.Model = model
				if refusal := refuse(t, m, request); refusal != test.want {
					t.Errorf("refusal is %+v, want %+v", refusal, test.want)
				}
			})
		}
	}
}

func TestLimitsOfZeroDoNotLimit(t *testing.T) {
	m := New(WithClock(newFakeClock()))
	for range 3000 {
		admit(t, m, outputCall(1<<20, global(limits.Row{})))
	}
}

func TestRowsOfOtherModelsDoNotApply(t *testing.T) {
	m := New(WithClock(newFakeClock()))
	rows := []limits.Binding{{Row: limits.Row{Model: "large", RPM: 1}}}
	for range 2 {
		admit(t, m, Request{Key: "key", Model: "tiny", Rows: rows})
	}
	admit(t, m, Request{Key: "key", Model: "large", Rows: rows})
	refuse(t, m, Request{Key: "key", Model: "large", Rows: rows})
}

func TestTokenTypesAreCountedApart(t *testing.T) {
	m := New(WithClock(newFakeClock()))
	rows := []limits.Binding{
		{Row: limits.Row{TPM: 100, TokenType: limits.Input}},
		{Row: limits.Row{TPM: 10, TokenType: limits.Output}},
		{Row: limits.Row{TPM: 105}},
	}
	call := func(input, output int64) Request {
		return Request{Key: "key", Tokens: Tokens{Input: input, Output: output}, Rows: rows}
	}
	admit(t, m, call(95, 5))
	if refusal := refuse(t, m, call(6, 0)); refusal.TokenType != limits.Input || refusal.Limit != 100 {
		t.Errorf("refusal names %+v, want the input row", refusal)
	}
	if refusal := refuse(t, m, call(0, 6)); refusal.TokenType != limits.Output {
		t.Errorf("refusal names %+v, want the output row", refusal)
	}
	if refusal := refuse(t, m, call(3, 3)); refusal.TokenType != limits.Total {
		t.Errorf("refusal names %+v, want the total row", refusal)
	}
	admit(t, m, call(5, 0))
}

func TestSettlementRefundsWhereTheReservationStands(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	rows := global(limits.Row{TPM: 100, TPD: 150})
	handle := admit(t, m, outputCall(100, rows))
	clock.advance(40 * time.Second)
	settle(t, m, handle, Tokens{Output: 30})
	admit(t, m, outputCall(70, rows))
	clock.advance(20 * time.Second)
	admit(t, m, outputCall(30, rows))
	if refusal := refuse(t, m, outputCall(21, rows)); refusal.Rule != limits.TPD || refusal.Used != 130 {
		t.Errorf("refusal is %+v, want the day with 130 used", refusal)
	}
}

func TestExcessIsDebtFromNowOn(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	rows := global(limits.Row{TPM: 100})
	handle := admit(t, m, outputCall(10, rows))
	clock.advance(50 * time.Second)
	settle(t, m, handle, Tokens{Output: 160})
	clock.advance(10 * time.Second)
	if refusal := refuse(t, m, outputCall(0, rows)); refusal.Used != 150 || refusal.RetryAfter != 50*time.Second {
		t.Errorf("refusal is %+v, want 150 used for 50s more", refusal)
	}
}

func TestCancelLeavesUsageAsItWas(t *testing.T) {
	m := New(WithClock(newFakeClock()))
	rows := global(limits.Row{RPM: 1, TPM: 10, RPD: 1, TPD: 10, MaxInFlight: 1})
	for range 10 {
		handle := admit(t, m, outputCall(10, rows))
		if err := m.Cancel(background, handle); err != nil {
			t.Fatal(err)
		}
	}
	admit(t, m, outputCall(10, rows))
}

func TestCallsOfYesterdayDoNotChangeToday(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	rows := global(limits.Row{RPD: 3, TPD: 100})
	canceled, settled := admit(t, m, outputCall(50, rows)), admit(t, m, outputCall(50, rows))
	clock.advance(12 * time.Hour)
	admit(t, m, outputCall(40, rows))
	if err := m.Cancel(background, canceled); err != nil {
		t.Fatal(err)
	}
	settle(t, m, settled, Tokens{Output: 60}) // 10 more than reserved, today
	if day := usage(t, m, outputCall(0, rows)).Scopes[0].Day; day != (Sums{1, 50, 0, 50}) {
		t.Errorf("the day has %+v, want 1 request and 50 tokens", day)
	}
}

func TestRefundsOfWhatHasLeftTheWindowAreNotTakenFromOthers(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	rows := global(limits.Row{TPM: 100})
	first := admit(t, m, outputCall(40, rows))
	clock.advance(2 * time.Millisecond)
	admit(t, m, outputCall(60, rows))
	clock.advance(time.Minute - time.Millisecond)
	settle(t, m, first, Tokens{})
	if refusal := refuse(t, m, outputCall(41, rows)); refusal.Used != 60 {
		t.Errorf("%d tokens are used, want 60", refusal.Used)
	}
}

func TestHandlesActOnce(t *testing.T) {
	m := New(WithClock(newFakeClock()))
	rows := global(limits.Row{TPM: 100})
	handle := admit(t, m, outputCall(60, rows))
	settle(t, m, handle, Tokens{Output: 50})
	again := admit(t, m, outputCall(50, rows)) // takes the place of the first
	for name, act := range map[string]func() error{
		"settle": func() error { return m.Settle(background, handle, Tokens{}) },
		"cancel": func() error { return m.Cancel(background, handle) },
		"extend": func() error { _, err := m.Extend(background, handle, Request{Key: "key"}); return err },
	} {
		if err := act(); !errors.Is(err, ErrResolved) {
			t.Errorf("second %s gives %v, want ErrResolved", name, err)
		}
	}
	refuse(t, m, outputCall(1, rows))
	settle(t, m, again, Tokens{})
}

func TestHandlesSurviveBeingWrittenDown(t *testing.T) {
	m := New()
	handle := admit(t, m, outputCall(1, nil))
	text, err := json.Marshal(handle)
	if err != nil {
		t.Fatal(err)
	}
	var read Handle
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	settle(t, m, read, Tokens{})
}

func TestHeadroomIsThatOfTheTightestLimits(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	request := Request{Key: "key", Model: "tiny", Tokens: Tokens{Input: 10, Output: 20}, Rows: []limits.Binding{
		{Row: limits.Row{RPM: 10, TPM: 1000}},
		{Row: limits.Row{Model: "tiny", RPM: 2, TPM: 50, TokenType: limits.Output}},
	}}
	for _, want := range []struct {
		requests, tokens int64
		admitted         bool
		reset            time.Duration
	}{{1, 30, true, time.Minute}, {0, 10, true, time.Minute}, {0, 10, false, 59 * time.Second}} {
		decision, err := m.Reserve(background, request)
		if err != nil {
			t.Fatal(err)
		}
		requests, tokens := Headroom{2, want.requests, want.reset}, Headroom{50, want.tokens, want.reset}
		if decision.Admitted != want.admitted || decision.Requests != requests || decision.Tokens != tokens {
			t.Errorf("headroom is %+v and %+v, want %+v and %+v", decision.Requests, decision.Tokens, requests, tokens)
		}
		clock.advance(time.Second)
	}
}

func TestForgedHandlesAreRefused(t *testing.T) {
	m, other := New(), New()
	handle := admit(t, m, outputCall(1, nil))
	foreign := admit(t, other, outputCall(1, nil))
	for name, forged := range map[string]Handle{
		"zero":          {},
		"another id":    {handle.ID + 1, handle.Slot, handle.Check},
		"another slot":  {handle.ID, handle.Slot + 1, handle.Check},
		"another shard": {handle.ID, handle.Slot ^ 1<<32, handle.Check},
		"no shard":      {handle.ID, 1 << 60, handle.Check},
		"another proof": {handle.ID, handle.Slot, handle.Check + 1},
		"foreign":       foreign,
	} {
		if err := m.Settle(background, forged, Tokens{}); !errors.Is(err, ErrForged) {
			t.Errorf("%s handle: settle gives %v, want ErrForged", name, err)
		}
	}
	settle(t, m, handle, Tokens{Output: 1})
}

func TestExtensionIsHeldToTokenLimits(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	rows := global(limits.Row{RPM: 1, TPM: 100, MaxInFlight: 1})
	handle := admit(t, m, outputCall(40, rows))
	extend := func(n int64) Decision {
		t.Helper()
		decision, err := m.Extend(background, handle, outputCall(n, rows))
		if err != nil {
			t.Fatal(err)
		}
		return decision
	}
	clock.advance(30 * time.Second)
	if decision := extend(90); !decision.Admitted || decision.Handle != handle || decision.Tokens.Remaining != 10 {
		t.Errorf("extension gives %+v, want 10 tokens left", decision)
	}
	if decision := extend(101); decision.Admitted || decision.Refusal.Needed != 11 || decision.Refusal.RetryAfter != 30*time.Second {
		t.Errorf("extension beyond the limit gives %+v", decision)
	}
	settle(t, m, handle, Tokens{Output: 60}) // 30 out of the extension
	clock.advance(30 * time.Second)
	if refusal := refuse(t, m, outputCall(81, rows)); refusal.Used != 20 {
		t.Errorf("%d tokens are left of the extension, want 20", refusal.Used)
	}
}

func TestStrictHoldsTheReservationUntilSettlement(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock), WithStrict())
	rows := global(limits.Row{TPM: 100})
	request := outputCall(80, rows)
	request.Timeout = 5 * time.Minute
	handle := admit(t, m, request)
	clock.advance(4 * time.Minute)
	if refusal := refuse(t, m, outputCall(21, rows)); !refusal.Hint || refusal.RetryAfter != 2*time.Minute+time.Millisecond {
		t.Errorf("refusal is %+v, want a hint of deadline plus window", refusal)
	}
	settle(t, m, handle, Tokens{Output: 50})
	admit(t, m, outputCall(50, rows))
	clock.advance(59 * time.Second)
	if refusal := refuse(t, m, outputCall(50, rows)); refusal.Used != 100 {
		t.Errorf("%d tokens are used, want 100", refusal.Used)
	}
	clock.advance(time.Second)
	admit(t, m, outputCall(50, rows))
}

func TestValuesOutOfRangeAreErrors(t *testing.T) {
	m := New()
	for field, request := range map[string]Request{
		"key":                  {},
		"tokens.input":         {Tokens: Tokens{Input: -1}},
		"tokens.output":        {Tokens: Tokens{Output: math.MaxInt64}},
		"limits.rpm":           {Rows: global(limits.Row{RPM: -1})},
		"limits.tpm":           {Rows: global(limits.Row{TPM: math.MinInt64})},
		"limits.rpd":           {Rows: global(limits.Row{RPD: -1})},
		"limits.tpd":           {Rows: global(limits.Row{TPD: -1})},
		"limits.max_in_flight": {Rows: []limits.Binding{{Previous: &limits.Row{MaxInFlight: -1}}}},
		"limits.token_type":    {Rows: global(limits.Row{TokenType: 3})},
	} {
		if field != "key" {
			request.Key = "key"
		}
		_, err := m.Reserve(background, request)
		var value *ValueError
		if !errors.As(err, &value) || value.Field != field {
			t.Errorf("%s: error is %v", field, err)
		}
	}
	handle := admit(t, m, outputCall(1, nil))
	var value *ValueError
	if err := m.Settle(background, handle, Tokens{Input: -1}); !errors.As(err, &value) {
		t.Errorf("settling -1 tokens gives %v", err)
	}
	settle(t, m, handle, Tokens{Input: 1})
}

func TestLimitsUpToTheLargestIntegerDoNotOverflow(t *testing.T) {
	m := New(WithClock(newFakeClock()))
	rows := global(limits.Row{RPM: math.MaxInt64, TPM: math.MaxInt64, RPD: math.MaxInt64, TPD: math.MaxInt64, MaxInFlight: math.MaxInt64})
	var err error
	for n := 0; err == nil; n++ {
		if n > 1<<20 {
			t.Fatal("calls of the largest size never fill a scope")
		}
		var decision Decision
		decision, err = m.Reserve(background, Request{Key: "key", Tokens: Tokens{MaxTokens, MaxTokens}, Rows: rows})
		if err == nil && !decision.Admitted {
			t.Fatalf("refused: %+v", decision.Refusal)
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Errorf("error is %v, want ErrFull", err)
	}
}

func TestClosedLimiterAdmitsNothingAndSettles(t *testing.T) {
	m := New()
	handle := admit(t, m, outputCall(1, nil))
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Reserve(background, outputCall(1, nil)); !errors.Is(err, ErrClosed) {
		t.Errorf("error is %v, want ErrClosed", err)
	}
	settle(t, m, handle, Tokens{})
}

func TestParallelCallersNeverExceedALimit(t *testing.T) {
	m := New()
	rows := []limits.Binding{{Row: limits.Row{RPM: 500, TPM: 1 << 40}}, {Row: limits.Row{Model: "tiny", RPM: 1000, MaxInFlight: 4}}}
	var admitted, running atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 2000 {
				decision, err := m.Reserve(background, Request{Key: "key", Model: "tiny", Rows: rows, Tokens: Tokens{Output: int64(i)}})
				if err != nil {
					t.Error(err)
					return
				}
				if !decision.Admitted {
					continue
				}
				if n := running.Add(1); n > 4 {
					t.Errorf("%d calls are in flight, want at most 4", n)
				}
				admitted.Add(1)
				running.Add(-1)
				if err := m.Settle(background, decision.Handle, Tokens{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if admitted.Load() != 500 {
		t.Errorf("%d calls were admitted, want 500", admitted.Load())
	}
}

func TestKeysDoNotDisturbEachOther(t *testing.T) {
	m := New(WithClock(newFakeClock()))
	rows := global(limits.Row{RPM: 1})
	for round := range 2 {
		for i := range 20000 {
			decision, err := m.Reserve(background, Request{Key: fmt.Sprint("key-", i), Rows: rows})
			if err != nil || decision.Admitted != (round == 0) {
				t.Fatalf("round %d, key %d: %+v %v", round, i, decision, err)
			}
		}
	}
}

func key(i int) string { return fmt.Sprintf("pk_0123456789abcdef0123456789abcd%06d", i) }
