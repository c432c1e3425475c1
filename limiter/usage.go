package limiter

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// Usage is the state of the scopes of a call, and what the call would be told.
type Usage struct {
	// Scopes holds the key and, if a row names the model, the key's use of it.
	Scopes []ScopeUsage
	// Admitted tells whether the call would be admitted now; else Refusal says why
	// not, and when.
	Admitted bool
	Refusal  Refusal
}

// ScopeUsage is the state of one scope.
type ScopeUsage struct {
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
	Limits []LimitUsage
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

// LimitUsage is one limit that is set.
type LimitUsage struct {
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

// MaxListed is how many calls in flight a ScopeUsage lists.
const MaxListed = 100

// Usage returns what is counted for a call's key and model, what each of its
// rows has left, and when a call that asks for request.Tokens would be admitted.
// It changes nothing. Errors: *ValueError.
func (m *Memory) Usage(_ context.Context, request Request) (Usage, error) {
	has, err := inspect(&request)
	if err != nil {
		return Usage{}, err
	}
	hash := m.names.key(request.Key)
	c := call{m: m, sh: &m.shards[shardNumber(hash)], name: request.Model, want: request.Tokens, requests: 1}
	c.sh.mu.Lock()
	defer c.sh.mu.Unlock()
	c.read()
	c.key = c.look(hash, 0)
	if has.model {
		c.model = c.look(m.names.model(hash, request.Model), 1)
	}
	c.freshen()
	usage := Usage{Scopes: []ScopeUsage{c.describe(c.key, "", request.Rows)}}
	if c.model != nil {
		usage.Scopes = append(usage.Scopes, c.describe(c.model, request.Model, request.Rows))
	}
	if usage.Admitted = c.fits(request.Rows, new(Decision)); !usage.Admitted {
		c.refuse(request.Rows, &usage.Refusal)
	}
	return usage, nil
}

// look returns the scope that a call would be charged to, or an empty one that
// nobody else sees.
func (c *call) look(hash uint64, level int) *scope {
	slot := c.sh.find(hash)
	if slot == 0 {
		slot = c.sh.overflow[level]
	}
	if slot == 0 {
		return &scope{}
	}
	return c.sh.at(slot - 1)
}

// describe returns the state of a scope.
func (c *call) describe(s *scope, model string, rows []limits.Binding) ScopeUsage {
	usage := ScopeUsage{
		Model:    model,
		Shared:   s.hash == overflowMark,
		Window:   Sums{Requests: int64(s.requests), Tokens: s.live(), Input: -1, Output: -1},
		Empties:  millis(c.sh.emptyAt(s, c.ms) - c.ms),
		Day:      Sums{int64(s.dayRequests), s.dayTokens(limits.Total), s.dayTokens(limits.Input), s.dayTokens(limits.Output)},
		DayEnds:  millis((c.day.end - c.now + 1e6 - 1) / 1e6),
		InFlight: int64(s.inFlight),
	}
	if axis := c.sh.findAxis(s, limits.Input); axis != nil {
		usage.Window.Input = axis.live()
	}
	if axis := c.sh.findAxis(s, limits.Output); axis != nil {
		usage.Window.Output = axis.live()
	}
	if s.inFlight > 0 {
		c.listCalls(s, &usage)
	}
	for i := range rows {
		if rows[i].Model == model {
			usage.Limits = append(usage.Limits, c.describeLimits(&rows[i], s)...)
		}
	}
	return usage
}

// listCalls adds the calls in flight.
func (c *call) listCalls(s *scope, usage *ScopeUsage) {
	c.sh.eachOpen(func(r *reservation) {
		if !c.sh.holds(r, s) {
			return
		}
		reserved := c.sh.open.reserved(r)
		usage.Reserved.Input += reserved.Input
		usage.Reserved.Output += reserved.Output
		usage.Calls = append(usage.Calls, OpenCall{
			Age:      millis(max(0, c.ms-c.sh.open.oldest(r).stamp)),
			Reserved: reserved,
			Left:     millis(max(0, r.deadline-c.ms)),
		})
	})
	slices.SortFunc(usage.Calls, func(a, b OpenCall) int { return cmp.Compare(b.Age, a.Age) })
	usage.Calls = slices.Clip(usage.Calls[:min(len(usage.Calls), MaxListed)])
}

// describeLimits returns the limits of a row that are set.
func (c *call) describeLimits(row *limits.Binding, s *scope) []LimitUsage {
	var described []LimitUsage
	minute, daily := c.inForce(row, c.now)
	for rule := limits.RPM; rule <= limits.MaxInFlight; rule++ {
		most, used, needed, kind := c.bound(rule, s, minute, daily, c.now)
		if most == 0 {
			continue
		}
		limit := LimitUsage{
			Rule: rule, TokenType: kind, Limit: most,
			Used: used, Remaining: max(0, most-used),
		}
		if over(used, needed, most) {
			at := c.admits(s, rule, kind, most-needed, c.now)
			limit.Never, limit.Hint = at.time == never, at.hint
			if !limit.Never {
				limit.FitsIn = millis((at.time - c.now + 1e6 - 1) / 1e6)
			}
		}
		described = append(described, limit)
	}
	return described
}
