package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limiter/internal/suite"
	"github.com/penstockhq/penstock/limits"
)

// patient is a timeout for tests that do not test it, on a busy machine.
const patient = 20 * time.Second

func request(row limits.Row) limiter.Request {
	return limiter.Request{
		Key: "pk_secretive", Owner: "acme", Model: row.Model, Tokens: limiter.Tokens{Input: 10, Output: 20},
		Rows: []limits.Binding{{Row: row}}, Timeout: time.Minute,
	}
}

func admit(t *testing.T, s *Store, r limiter.Request) limiter.Handle {
	t.Helper()
	decision, err := s.Reserve(t.Context(), r)
	if err != nil || !decision.Admitted {
		t.Fatalf("not admitted: %+v, %v", decision.Refusal, err)
	}
	return decision.Handle
}

func refuse(t *testing.T, s *Store, r limiter.Request) limiter.Refusal {
	t.Helper()
	decision, err := s.Reserve(t.Context(), r)
	if err != nil || decision.Admitted {
		t.Fatalf("not refused: %v", err)
	}
	return decision.Refusal
}

func window(t *testing.T, s *Store, r limiter.Request) limiter.ScopeState {
	t.Helper()
	state, err := s.Inspect(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return state.Scopes[0]
}

func settle(t *testing.T, s *Store, handle limiter.Handle, actual limiter.Tokens) {
	t.Helper()
	if err := s.Settle(t.Context(), handle, actual); err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestGatewaysSeeEachOthersCalls(t *testing.T) {
	redis := startServer(t)
	first, second := redis.open(WithTimeout(patient)), redis.open(WithTimeout(patient))
	r := request(limits.Row{RPM: 2, TPM: 1000})
	handle := admit(t, first, r)
	admit(t, second, r)
	refusal := refuse(t, first, r)
	if refusal.Rule != limits.RPM || refusal.RetryAfter < 50*time.Second || refusal.RetryAfter > time.Minute+time.Millisecond {
		t.Errorf("the refusal is %+v", refusal)
	}
	settle(t, first, handle, limiter.Tokens{Input: 10, Output: 1})
	flush(t, first)
	if scope := window(t, second, r); scope.Window.Tokens != 41 || scope.InFlight != 1 || scope.Reserved.Output != 20 {
		t.Errorf("the other gateway sees %+v", scope)
	}
	if err := first.Settle(t.Context(), handle, limiter.Tokens{}); !errors.Is(err, limiter.ErrResolved) {
		t.Errorf("settling again gives %v", err)
	}
	if err := second.Settle(t.Context(), handle, limiter.Tokens{}); !errors.Is(err, limiter.ErrForged) {
		t.Errorf("settling at another gateway gives %v", err)
	}
}

// A caller who waits for the end of one call must find its place in flight free.
func TestTheNextCallTakesSettlementsAlong(t *testing.T) {
	s := startServer(t).open(WithTimeout(patient))
	for range 300 {
		settle(t, s, admit(t, s, request(limits.Row{MaxInFlight: 1})), limiter.Tokens{})
	}
}

func TestNoNameIsInRedis(t *testing.T) {
	redis := startServer(t)
	s := redis.open(WithTimeout(patient))
	r := request(limits.Row{Model: "tiny-model", TPM: 1000, TokenType: limits.Output})
	settle(t, s, admit(t, s, r), limiter.Tokens{Output: 5})
	admit(t, s, r)
	flush(t, s)
	client := redis.client()
	names := client.Keys(t.Context(), "*").Val()
	if len(names) < 6 {
		t.Fatalf("there are only the keys %q", names)
	}
	tag := ""
	for _, name := range names {
		text := name + client.Dump(t.Context(), name).Val()
		for _, secret := range []string{"pk_secretive", "acme", "tiny-model"} {
			if strings.Contains(text, secret) {
				t.Errorf("the key %q holds %q", name, secret)
			}
		}
		if name == "penstock:settings" {
			continue
		}
		_, rest, _ := strings.Cut(name, "{")
		this, _, found := strings.Cut(rest, "}")
		if !found || tag != "" && this != tag {
			t.Errorf("the key %q has not the hash tag %q", name, tag)
		}
		tag = this
		if ttl := client.PTTL(t.Context(), name).Val(); ttl <= 0 || ttl > 48*time.Hour {
			t.Errorf("the key %q is kept for %v", name, ttl)
		}
	}
}

// trips counts the round trips of a client.
type trips struct{ count int }

func (h *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		h.count++
		return next(ctx, command)
	}
}

func (h *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		h.count++
		return next(ctx, commands)
	}
}

func TestAnAdmissionIsOneRoundTrip(t *testing.T) {
	s := startServer(t).open(WithTimeout(patient))
	r := limiter.Request{
		Key: "key", Owner: "owner", Model: "tiny", Tokens: limiter.Tokens{Input: 10, Output: 500}, OutputStep: 1,
		Rows: []limits.Binding{{Row: limits.Row{RPM: 22, TPM: 1 << 40, MaxInFlight: 1000}}, {Row: limits.Row{Model: "tiny", RPM: 1000, TPD: 1 << 40}}},
	}
	refuses := r
	refuses.Rows = []limits.Binding{{Row: limits.Row{RPM: 1}}}
	shrinks := r
	shrinks.Key, shrinks.Rows = "small", []limits.Binding{{Row: limits.Row{TPM: 300}}}
	handle := admit(t, s, r) // the server learns the scripts
	settle(t, s, admit(t, s, r), limiter.Tokens{})
	flush(t, s)
	count := new(trips)
	s.client.AddHook(count)
	for range 20 {
		admit(t, s, r)
	}
	refuse(t, s, refuses)
	if decision, err := s.Reserve(t.Context(), shrinks); err != nil || decision.Reserved.Output != 290 {
		t.Errorf("%+v, %v", decision, err)
	}
	if count.count != 22 {
		t.Errorf("22 decisions take %d round trips", count.count)
	}
	settle(t, s, handle, limiter.Tokens{})
	flush(t, s)
	if count.count != 23 {
		t.Errorf("a settlement takes %d round trips", count.count-22)
	}
}

func TestCallsOfADeadGatewayLapse(t *testing.T) {
	redis := startServer(t)
	for _, strict := range [][]Option{nil, {WithStrict()}} {
		clock := suite.NewClock(time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC))
		options := append(strict, withClock(clock), WithTimeout(patient), WithPrefix(fmt.Sprint("lapse", len(strict))))
		dead, alive := redis.open(options...), redis.open(options...)
		r := request(limits.Row{MaxInFlight: 2, TPM: 100})
		r.Timeout = 10 * time.Second
		other := r
		other.Model, other.Rows = "tiny", append(r.Rows, limits.Binding{Row: limits.Row{Model: "tiny", TPM: 100}})
		admit(t, dead, r)
		admit(t, dead, other)
		clock.Advance(69 * time.Second)
		if refusal := refuse(t, alive, r); refusal.Rule != limits.MaxInFlight {
			t.Errorf("refused by %+v", refusal)
		}
		clock.Advance(2 * time.Second)
		admit(t, alive, r)
		scope := window(t, alive, other)
		want := int64(30) // what had been reserved has left the window long ago
		if strict != nil {
			want = 90 // or counts from when it lapsed
		}
		if scope.InFlight != 1 || scope.Window.Tokens != want {
			t.Errorf("after the calls have lapsed there are %+v", scope)
		}
	}
}

func TestAClockThatGoesBackGrantsNothing(t *testing.T) {
	redis := startServer(t)
	clock := suite.NewClock(time.Date(2026, 3, 10, 0, 30, 0, 0, time.UTC))
	s := redis.open(withClock(clock), WithTimeout(patient))
	minute, day := request(limits.Row{RPM: 1, TPM: 100}), request(limits.Row{RPD: 1})
	day.Key = "another"
	clock.Advance(30 * time.Second)
	admit(t, s, minute)
	admit(t, s, day)
	clock.Advance(20 * time.Second)
	refuse(t, s, minute)
	clock.Advance(-time.Hour) // and to the day before
	if refusal := refuse(t, s, minute); refusal.RetryAfter != time.Minute {
		t.Errorf("the wait is %v, want all of the window from when the clock was last seen", refusal.RetryAfter)
	}
	refuse(t, s, day)
	clock.Advance(59 * time.Second)
	refuse(t, s, minute)
	clock.Advance(time.Second)
	admit(t, s, minute)
	refuse(t, s, day)
}

func TestChangedLimitsActByTheClockOfTheServer(t *testing.T) {
	redis := startServer(t)
	clock := suite.NewClock(time.Date(2026, 3, 10, 12, 0, 30, 0, time.UTC))
	s := redis.open(withClock(clock), WithTimeout(patient))
	r := request(limits.Row{RPM: 5})
	r.Rows[0].Previous, r.Rows[0].ChangedAt = &limits.Row{RPM: 1}, clock.Wall()
	admit(t, s, r)
	if refusal := refuse(t, s, r); refusal.RetryAfter != 30*time.Second || refusal.Limit != 1 {
		t.Errorf("%+v", refusal)
	}
	clock.Advance(30 * time.Second)
	admit(t, s, r)
}

func TestRefundsOfYesterdayAreNotTakenFromToday(t *testing.T) {
	clock := suite.NewClock(time.Date(2026, 3, 10, 23, 59, 50, 0, time.UTC))
	s := startServer(t).open(append([]Option{withClock(clock), WithTimeout(patient)}, planted()...)...)
	r := request(limits.Row{TPD: 1000, RPD: 10})
	settled, canceled := admit(t, s, r), admit(t, s, r)
	clock.Advance(20 * time.Second)
	admit(t, s, r)
	settle(t, s, settled, limiter.Tokens{})
	if err := s.Cancel(t.Context(), canceled); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	if day := window(t, s, r).Day; day != (limiter.Sums{Requests: 1, Tokens: 30, Input: 10, Output: 20}) {
		t.Errorf("the day has %+v, want the call that was made in it", day)
	}
}

func TestRowOfANewTokenTypeSeesTheWholeWindow(t *testing.T) {
	redis := startServer(t)
	for name, strict := range map[string][]Option{"": nil, "strict": {WithStrict()}} {
		s := redis.open(append(append(strict, WithTimeout(patient), WithPrefix("rows"+name)), planted()...)...)
		handle := admit(t, s, request(limits.Row{TPM: 100}))
		r := request(limits.Row{TPM: 19, TokenType: limits.Input})
		if refusal := refuse(t, s, r); refusal.Used != 30 && refusal.Used != 10 {
			t.Errorf("%s: %d tokens are used, want at least the 10 of input", name, refusal.Used)
		}
		settle(t, s, handle, limiter.Tokens{Input: 10, Output: 20})
		flush(t, s)
		if refusal := refuse(t, s, r); refusal.Used < 10 {
			t.Errorf("%s: %d tokens are used after the end of the call", name, refusal.Used)
		}
	}
}
