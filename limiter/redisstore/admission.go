package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// admission is a call that asks to be admitted.
type admission struct {
	store   *Store
	request *limiter.Request
	number  uint64
	id      string
	place   place
	rules   ruleList
	tokens  limiter.Tokens // that it asks for, which may be less than in the request
}

// What the script answers first.
const (
	answerRefused  = 0
	answerAdmitted = 1
	answerFull     = 2
	answerOver     = 3 // the call was ended before it came
	answerStale    = 4 // it came too late
)

var (
	errOver    = errors.New("the call was ended before it was admitted")
	errStale   = errors.New("the clock of the server was set")
	errStrange = errors.New("the server's answer is not one of the script")
)

// run asks the server until it has answered or the time is over. The id of the call
// sees to it that it acts once.
func (a *admission) run(ctx context.Context) (limiter.Decision, error) {
	const attempts = 3
	var err error
	for attempt := range attempts {
		var decision limiter.Decision
		var again bool
		if decision, again, err = a.try(ctx, attempt == 0); !again {
			return decision, err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return limiter.Decision{}, err
}

// try asks the server once. The first time leaves half of the time for another.
func (a *admission) try(ctx context.Context, first bool) (decision limiter.Decision, again bool, err error) {
	if first {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.store.timeout/2)
		defer cancel()
	}
	now := a.store.clock()
	pending := a.store.settlements.of(a.place.base)
	invocations := make([]*invocation, 0, len(pending)+1)
	for _, waiting := range pending {
		invocations = append(invocations, a.store.settling(waiting, now))
	}
	commands := invoke(ctx, a.store.client, append(invocations, a.invocation(now)))
	for i, waiting := range pending {
		a.store.settlements.note(waiting, commands[i])
	}
	reply, err := commands[len(pending)].Slice()
	if err != nil {
		return decision, true, err
	}
	if len(reply) < 3 {
		return decision, false, errStrange
	}
	a.store.learn(timeOf(reply))
	switch reply[0] {
	case int64(answerAdmitted):
		decision, err = a.admitted(reply)
		return decision, false, err
	case int64(answerRefused):
		return a.refused(reply, now)
	case int64(answerFull):
		return decision, false, limiter.ErrFull
	case int64(answerOver):
		return decision, false, errOver
	case int64(answerStale):
		return decision, true, errStale // the time has been learned now
	}
	return decision, false, errStrange
}

// timeOf returns the server's time of an answer.
func timeOf(reply []any) time.Time {
	seconds, _ := reply[1].(int64)
	micros, _ := reply[2].(int64)
	return time.UnixMicro(seconds*1e6 + micros)
}

// invocation returns the script call.
func (a *admission) invocation(now moment) *invocation {
	notAfter := int64(0)
	if a.store.stale > 0 {
		notAfter = now.wall.Add(a.store.stale).UnixMilli()
	}
	arguments := a.store.common(a.id, a.tokens, a.place.model, now)
	arguments = append(arguments, notAfter, a.timeout().Milliseconds(), DefaultLease.Milliseconds(), a.rules.apart, a.rules.packed)
	return &invocation{a.store.scripts.admit, a.place.keys(a.id), append(arguments, now.arguments...)}
}

// common returns the arguments that the scripts share.
func (s *Store) common(id string, tokens limiter.Tokens, model string, now moment) []any {
	date := limits.DateOf(now.wall.In(s.zone))
	strict := 0
	if s.strict {
		strict = 1
	}
	return append(make([]any, 0, 16),
		id, date, limits.DayStart(date, s.zone).UnixMilli(), limits.DayStart(date+1, s.zone).UnixMilli(),
		s.entries, strict, tokens.Input, tokens.Output, model)
}

func (a *admission) timeout() time.Duration { return min(max(0, a.request.Timeout), maxLease) }

// call returns the call as it is when it was admitted.
func (a *admission) call() *call {
	lease := a.timeout()
	if lease == 0 {
		lease = DefaultLease
	}
	return &call{id: a.id, place: a.place, counted: true, lapses: time.Now().Add(lease + limiter.Window + a.store.stale)}
}

func (a *admission) admitted(reply []any) (decision limiter.Decision, err error) {
	var figures [6]int64
	if len(reply) != 4+len(figures) {
		return decision, errStrange
	}
	for i := range figures {
		figures[i], _ = reply[4+i].(int64)
	}
	headroom := func(f []int64) limiter.Headroom {
		if f[0] == 0 {
			return limiter.Headroom{}
		}
		return limiter.Headroom{Limit: f[0], Remaining: f[1], Reset: time.Duration(f[2]) * time.Millisecond}
	}
	decision.Admitted, decision.Reserved = true, a.tokens
	decision.Requests, decision.Tokens = headroom(figures[:3]), headroom(figures[3:])
	decision.Handle = a.store.enter(a.number, a.call())
	return decision, nil
}

// refused finds out which rule refuses the call, and for how long. A call that may
// shrink may turn out to fit.
func (a *admission) refused(reply []any, now moment) (decision limiter.Decision, again bool, err error) {
	counted, err := a.store.counted(reply, &a.place, now)
	if err != nil {
		return decision, false, err
	}
	decision = a.store.judge.Decide(a.request, counted)
	if !decision.Admitted {
		return decision, false, nil
	}
	if decision.Reserved == a.tokens {
		return limiter.Decision{}, false, fmt.Errorf("%w: it refuses what fits", errStrange)
	}
	a.tokens = decision.Reserved
	return limiter.Decision{}, true, errStrange
}

// shrunk returns the tokens that a call asks for at first. Where its output may be
// lowered so that it can ever fit the token limits, that is done here already, so that it
// costs no second trip; where limits are about to change, the judge decides.
func shrunk(request *limiter.Request) limiter.Tokens {
	steps := int64(0)
	if request.OutputStep <= 0 {
		return request.Tokens
	}
	for i := range request.Rows {
		row := &request.Rows[i]
		if row.Previous != nil {
			return request.Tokens
		}
		if row.Model != "" && row.Model != request.Model || row.TokenType == limits.Input {
			continue
		}
		for _, limit := range [2]int64{row.TPM, row.TPD} {
			if excess := request.Tokens.Of(row.TokenType) - limit; limit > 0 && excess > 0 {
				steps = max(steps, (excess+request.OutputStep-1)/request.OutputStep)
			}
		}
	}
	output := request.Tokens.Output - steps*request.OutputStep
	if output < request.OutputStep {
		return request.Tokens
	}
	return limiter.Tokens{Input: request.Tokens.Input, Output: output}
}
