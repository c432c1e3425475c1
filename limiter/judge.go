package limiter

import (
	"time"

	"github.com/penstockhq/penstock/limits"
)

// Judge answers what changes no counter for a store that counts outside of this
// process, exactly as the limiter in memory would: why a call is refused and for how
// long, and what is counted. It is safe for concurrent use.
type Judge struct{ m *Memory }

// NewJudge returns a judge. Of the options the zone and WithStrict matter.
func NewJudge(options ...Option) *Judge {
	m := &Memory{entries: DefaultEntries}
	m.calendar.zone, m.calendar.wall = time.UTC, time.Now
	for _, option := range options {
		option(m)
	}
	return &Judge{m}
}

// Counted is what a store counts for the scopes of one call. Times are in milliseconds
// of the store's clock, unless they say otherwise.
type Counted struct {
	Now   time.Duration // on the store's clock
	Wall  time.Time     // the civil time then
	Date  int64         // of the day that is being used, in days since 1970
	Key   CountedScope
	Model CountedScope  // empty if no row names the model
	Calls []CountedCall // in flight, of the key
}

// CountedScope is what is counted for one scope. It holds the total of tokens, and those
// of a direction, by limits.TokenType, only where a limit asks for them.
type CountedScope struct {
	Logs     [3]*CountedLog // nil: not counted apart
	Date     int64          // of Day
	Day      Sums
	InFlight int64
}

// CountedLog is a log of events in the window, oldest first, and the tokens that running
// calls hold beside it.
type CountedLog struct {
	Entries []CountedEntry
	Held    int64
}

// CountedEntry is one event, or some that were merged under the latest stamp.
type CountedEntry struct{ Stamp, Requests, Tokens int64 }

// CountedCall is a call in flight.
type CountedCall struct {
	Stamp    int64
	Deadline int64 // 0: none
	Tokens   Tokens
	OfModel  bool // it runs the model of the call in question
}

// Check returns a *ValueError for a request that no limiter takes.
func (r *Request) Check() error {
	_, err := check(r)
	return err
}

// CheckTokens returns a *ValueError for tokens that no call can have used.
func CheckTokens(tokens Tokens) error { return checkTokens(tokens) }

// Decide says whether a call would be admitted, and why not. A call that would be has
// no Handle: the judge charges nothing. The request must have been checked.
func (j *Judge) Decide(request *Request, counted *Counted) Decision {
	var decision Decision
	e := j.evaluation(request, counted)
	e.prepare(request.Rows)
	if e.fitsOrShrinks(request, &decision) {
		decision.Admitted, decision.Reserved = true, e.want
	} else {
		e.headroom(request.Rows, &decision)
	}
	return decision
}

// Inspect returns what Memory.Inspect would. The request must have been checked.
func (j *Judge) Inspect(request *Request, counted *Counted) State {
	return j.evaluation(request, counted).state(request)
}

// evaluation builds a shard that holds what is counted, and nothing else.
func (j *Judge) evaluation(request *Request, counted *Counted) *evaluation {
	now := int64(counted.Now)
	sh := &shard{last: now, entries: classWords(maxClass), slot: 1}
	e := &evaluation{
		m: j.m, sh: sh, now: now, ms: floorMS(now), stamp: ceilMS(now),
		day:  &day{number: 1, date: counted.Date, read: now, wall: counted.Wall},
		name: request.Model, want: request.Tokens, requests: 1,
	}
	e.day.end = e.day.after(limits.DayStart(counted.Date+1, j.m.calendar.zone))
	key := sh.count(&counted.Key, counted.Date)
	model := uint32(0)
	for i := range request.Rows {
		if row := &request.Rows[i]; model == 0 && row.Model != "" && row.Model == request.Model {
			model = sh.count(&counted.Model, counted.Date)
		}
	}
	for i := range counted.Calls {
		call := &counted.Calls[i]
		r := sh.open.at(sh.open.take())
		*r = reservation{
			id: uint64(i + 1), stamp: call.Stamp, deadline: call.Deadline, day: 1, key: key,
			input: uint32(call.Tokens.Input), output: uint32(call.Tokens.Output),
		}
		if call.OfModel {
			r.model = model
		}
	}
	e.key = sh.at(key - 1)
	if model != 0 {
		e.model = sh.at(model - 1)
	}
	e.freshen()
	return e
}

// count makes a scope of what is counted and returns its slot plus one.
func (sh *shard) count(counted *CountedScope, date int64) uint32 {
	slot := sh.take()
	s := sh.at(slot)
	*s = scope{hash: firstIdentity, inFlight: uint32(counted.InFlight)}
	s.roll(1)
	if counted.Date == date {
		s.dayRequests = uint32(counted.Day.Requests)
		s.addDay(counted.Day.Tokens, counted.Day.Input, counted.Day.Output)
	}
	for t, log := range counted.Logs {
		if log == nil {
			continue
		}
		counter := s
		if t != int(limits.Total) {
			sub := sh.take()
			counter = sh.at(sub)
			*counter = scope{hash: uint64(t)}
			counter.setSub(s.sub())
			s.setSub(sub + 1)
		}
		for _, entry := range log.Entries {
			sh.add(counter, entry.Stamp, entry.Requests, entry.Tokens)
		}
		counter.addLive(log.Held)
	}
	return slot + 1
}
