package limiter

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// State is the state of the scopes of a call, and the decision that it would get.
type State struct {
	// Scopes holds the key and, if a row names the model, the key's use of it.
	Scopes []ScopeState
	// Admitted reports whether the call would be admitted now; else Refusal says why
	// not, and when.
	Admitted bool
	Refusal  Refusal
	// Reserved is what the call asks for: with an OutputStep perhaps less output than
	// in the request.
	Reserved Tokens
}

// ScopeState is the state of one scope.
type ScopeState struct {
	Model string // empty: the whole key
	// Shared is set if the scope is shared with other keys because the limiter
	// tracks as many as it may.
	Shared   bool
	Window   Sums          // of the last 60 s
	Empties  time.Duration // until the window is empty if nothing more comes
	Day      Sums
	DayEnds  time.Duration
	InFlight int64
	Reserved Tokens // by the calls in flight
	// Calls are the calls in flight, oldest first, at most MaxListed.
	Calls  []OpenCall
	Limits []LimitState
}

// Sums are counts of requests and tokens.
type Sums struct {
	Requests int64
	Tokens   int64 // input and output
	// Input and Output are -1 in a window in which no limit asks for them.
	Input, Output int64
}

// OpenCall is a call in flight.
type OpenCall struct {
	Age      time.Duration // since its admission
	Reserved Tokens
	Left     time.Duration // until its deadline; 0: it has none, or it has passed
}

// LimitState is one limit that is set.
type LimitState struct {
	Rule      limits.Rule
	TokenType limits.TokenType
	Limit     int64
	Used      int64
	Remaining int64 // never negative
	// FitsIn is when this limit has room for the call: 0 now. Never and Hint are
	// those of Refusal.
	FitsIn time.Duration
	Never  bool
	Hint   bool
}

// MaxListed is how many calls in flight a ScopeState lists.
const MaxListed = 100

// Inspect returns what is counted for a call's key and model, what each of its
// rows has left, and when a call that asks for request.Tokens would be admitted. The
// answer is that of Reserve, also where an OutputStep lets it lower the output.
// It changes nothing. Errors: *ValueError.
func (m *Memory) Inspect(_ context.Context, request Request) (State, error) {
	has, err := check(&request)
	if err != nil {
		return State{}, err
	}
	hash := m.names.key(request.Key)
	e := evaluation{m: m, sh: &m.shards[shardNumber(hash)], name: request.Model, want: request.Tokens, requests: 1}
	e.sh.mu.Lock()
	defer e.sh.mu.Unlock()
	e.read()
	e.key = e.look(hash, 0)
	if has.model {
		e.model = e.look(m.names.model(hash, request.Model), 1)
	}
	e.freshen()
	return e.state(&request), nil
}

// state describes the scopes, and says whether the call would be admitted.
func (e *evaluation) state(request *Request) State {
	var decision Decision
	admitted := e.fitsOrShrinks(request, &decision)
	usage := State{Admitted: admitted, Refusal: decision.Refusal, Reserved: e.want, Scopes: []ScopeState{e.describe(e.key, "", request.Rows)}}
	if e.model != nil {
		usage.Scopes = append(usage.Scopes, e.describe(e.model, request.Model, request.Rows))
	}
	return usage
}

// look returns the scope that a call would be charged to, or an empty scope that is not
// stored if there is none.
func (e *evaluation) look(hash uint64, level int) *scope {
	slot := e.sh.find(hash)
	if slot == 0 {
		slot = e.sh.overflow[level]
	}
	if slot == 0 {
		return &scope{}
	}
	return e.sh.at(slot - 1)
}

// describe returns the state of a scope.
func (e *evaluation) describe(s *scope, model string, rows []limits.Binding) ScopeState {
	usage := ScopeState{
		Model:    model,
		Shared:   s.hash == overflowMark,
		Window:   Sums{Requests: int64(s.requests), Tokens: s.live(), Input: -1, Output: -1},
		Empties:  millis(e.sh.emptyAt(s, e.ms) - e.ms),
		Day:      Sums{int64(s.dayRequests), s.dayTokens(limits.Total), s.dayTokens(limits.Input), s.dayTokens(limits.Output)},
		DayEnds:  millis(ceilMS(e.day.end - e.now)),
		InFlight: int64(s.inFlight),
	}
	if sub := e.sh.findSub(s, limits.Input); sub != nil {
		usage.Window.Input = sub.live()
	}
	if sub := e.sh.findSub(s, limits.Output); sub != nil {
		usage.Window.Output = sub.live()
	}
	if s.inFlight > 0 {
		e.listCalls(s, &usage)
	}
	for i := range rows {
		if rows[i].Model == model {
			usage.Limits = append(usage.Limits, e.describeLimits(&rows[i], s)...)
		}
	}
	return usage
}

// listCalls adds the calls in flight.
func (e *evaluation) listCalls(s *scope, usage *ScopeState) {
	e.sh.eachOpen(func(r *reservation) {
		if !e.sh.holds(r, s) {
			return
		}
		reserved := e.sh.open.reserved(r)
		usage.Reserved.Input += reserved.Input
		usage.Reserved.Output += reserved.Output
		usage.Calls = append(usage.Calls, OpenCall{
			Age:      millis(max(0, e.ms-e.sh.open.oldest(r).stamp)),
			Reserved: reserved,
			Left:     millis(max(0, r.deadline-e.ms)),
		})
	})
	slices.SortFunc(usage.Calls, func(a, b OpenCall) int { return cmp.Compare(b.Age, a.Age) })
	usage.Calls = slices.Clip(usage.Calls[:min(len(usage.Calls), MaxListed)])
}

// describeLimits returns the limits of a row that are set.
func (e *evaluation) describeLimits(row *limits.Binding, s *scope) []LimitState {
	var described []LimitState
	minute, daily := e.inForce(row, e.now)
	for rule := limits.RPM; rule <= limits.MaxInFlight; rule++ {
		most, used, needed, kind := e.bound(rule, s, minute, daily, e.now)
		if most == 0 {
			continue
		}
		limit := LimitState{
			Rule: rule, TokenType: kind, Limit: most,
			Used: used, Remaining: max(0, most-used),
		}
		if over(used, needed, most) {
			at := e.admits(s, rule, kind, most-needed, e.now)
			limit.Never, limit.Hint = at.time == never, at.hint
			if !limit.Never {
				limit.FitsIn = millis(ceilMS(at.time - e.now))
			}
		}
		described = append(described, limit)
	}
	return described
}
