package ledger

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// oracle is a second ledger that shares no code with the first: plain maps, no
// versions, no commits. It learns what lasts from the entries on the disk alone.
type oracle struct {
	accounts map[string]oracleAccount
	keys     map[string]oracleKey
	prices   map[string]Price
	versions []Price
	topUps   map[string]oracleTopUp
	resolved map[HoldID]bool
	counted  map[HoldID]Outcome
	running  map[HoldID]bool // recorded as such
	streams  map[HoldID]oracleStream
	usage    map[usageID]UsageRow
	policy   CrashPolicy
	unpaid   Micro
	last     time.Time
}

type oracleAccount struct {
	frozen                 bool
	deposited, spent, held Micro
}

type oracleKey struct {
	owner               string
	hasBudget           bool
	revoked, paused     bool
	budget, spent, held Micro
	lastUsed            time.Time
}

type oracleTopUp struct {
	account string
	amount  Micro
}

type oracleStream struct{ charge, held Micro }

func newOracle(policy CrashPolicy) *oracle {
	return &oracle{
		accounts: map[string]oracleAccount{}, keys: map[string]oracleKey{}, prices: map[string]Price{},
		topUps: map[string]oracleTopUp{}, resolved: map[HoldID]bool{}, counted: map[HoldID]Outcome{}, running: map[HoldID]bool{}, streams: map[HoldID]oracleStream{},
		usage: map[usageID]UsageRow{}, policy: policy,
	}
}

// clone returns a copy that a running process may go ahead with.
func (o *oracle) clone() *oracle {
	c := *o
	c.accounts, c.keys, c.prices = maps.Clone(o.accounts), maps.Clone(o.keys), maps.Clone(o.prices)
	c.topUps, c.usage = maps.Clone(o.topUps), maps.Clone(o.usage)
	return &c
}

// price is what a model costs, with its version forgotten.
func (o *oracle) price(model string) Price {
	if price, ok := o.prices[model]; ok {
		return price
	}
	return Price{Minute: 1_000_000}
}

// oracleCost is the price formula in plain numbers, good for small ones.
func oracleCost(p Price, q Quantity) Micro {
	cachedPrice := int64(p.CachedInput)
	if cachedPrice == 0 {
		cachedPrice = int64(p.Input)
	}
	tokens := (q.InputTokens-q.CachedTokens)*int64(p.Input) + q.CachedTokens*max(cachedPrice, 0) + q.OutputTokens*int64(p.Output)
	parts := tokens*60 + q.Duration.Microseconds()*int64(p.Minute)
	cost := parts / 60_000_000
	if parts%60_000_000 != 0 {
		cost++
	}
	return Micro(cost) + p.Request
}

// learn adds an entry that was found on the disk, and says what is wrong with it.
func (o *oracle) learn(e *Entry) error {
	if e.At.Before(o.last) {
		return fmt.Errorf("entry %d goes back in time", e.Sequence)
	}
	o.last = e.At
	if o.unpaid != 0 && (e.Kind != KindWriteOff || e.Amount != o.unpaid) {
		return fmt.Errorf("entry %d: %d micro-credits were not paid and not written off", e.Sequence, o.unpaid)
	}
	a, k := o.accounts[e.Account], o.keys[e.KeyID]
	switch e.Kind {
	case KindEpoch:
		for id, key := range o.keys { // nothing runs any more
			key.held = 0
			o.keys[id] = key
		}
		for id, account := range o.accounts {
			account.held = 0
			o.accounts[id] = account
		}
	case KindAccount:
		var detail struct{ Frozen bool }
		if err := json.Unmarshal(e.Detail, &detail); err != nil {
			return err
		}
		a.frozen = detail.Frozen
		o.accounts[e.Account] = a
	case KindKey:
		return o.learnKey(e)
	case KindPrice:
		return o.learnPrice(e)
	case KindTopUp, KindAdjust:
		name := e.Kind.String() + e.Reference
		if _, twice := o.topUps[name]; twice {
			return fmt.Errorf("entry %d: %s %q is there twice", e.Sequence, e.Kind, e.Reference)
		}
		o.topUps[name] = oracleTopUp{e.Account, e.Amount}
		a.deposited += e.Amount
		o.accounts[e.Account] = a
	case KindSettle, KindVoid:
		return o.learnCall(e, a, k)
	case KindWriteOff:
		o.unpaid = 0
		row := o.usageOf(e)
		row.WriteOff += e.Amount
		o.usage[row.id()] = row
	case KindCheckpoint:
		var held int64
		if _, err := fmt.Sscanf(string(e.Detail), `{"held":%d}`, &held); err != nil {
			return err
		}
		o.streams[e.Hold] = oracleStream{charge: e.Amount, held: Micro(held)}
	case KindAdmission:
		return o.learnAdmission(e)
	}
	return nil
}

// learnAdmission notes which calls run, and which never did.
func (o *oracle) learnAdmission(e *Entry) error {
	var detail struct{ Holds, Withdrawn []uint64 }
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		return err
	}
	for _, counter := range detail.Holds {
		id := e.Hold + HoldID(counter)
		if o.resolved[id] || o.running[id] {
			return fmt.Errorf("entry %d: hold %s is recorded after its end, or twice", e.Sequence, id)
		}
		o.running[id] = true
	}
	for _, counter := range detail.Withdrawn {
		id := e.Hold + HoldID(counter)
		if _, stream := o.streams[id]; !stream && !o.running[id] {
			return fmt.Errorf("entry %d: hold %s was never recorded", e.Sequence, id)
		}
		o.resolved[id] = true
		delete(o.running, id)
		delete(o.streams, id)
	}
	return nil
}

func (o *oracle) learnCall(e *Entry, a oracleAccount, k oracleKey) error {
	if o.resolved[e.Hold] {
		return fmt.Errorf("entry %d: hold %s is resolved twice", e.Sequence, e.Hold)
	}
	o.resolved[e.Hold] = true
	o.counted[e.Hold] = e.Outcome
	stream, running := o.streams[e.Hold]
	running = running || o.running[e.Hold]
	delete(o.streams, e.Hold)
	delete(o.running, e.Hold)
	switch {
	case e.Outcome == OutcomeInterrupted:
		want := map[CrashPolicy]Micro{CrashCheckpoint: stream.charge, CrashRelease: 0, CrashFull: stream.held}[o.policy]
		if !running || e.Amount != want {
			return fmt.Errorf("entry %d: interrupted hold %s charged %d, want %d", e.Sequence, e.Hold, e.Amount, want)
		}
	case e.Kind == KindSettle && e.Outcome != OutcomeDeadline:
		price := Price{Minute: 1_000_000}
		if e.PriceVersion > 0 {
			price = o.versions[e.PriceVersion-1]
		}
		if o.unpaid = oracleCost(price, e.Quantity) - e.Amount; o.unpaid < 0 {
			return fmt.Errorf("entry %d: charge %d is more than the price", e.Sequence, e.Amount)
		}
	}
	a.spent, k.spent, k.lastUsed = a.spent+e.Amount, k.spent+e.Amount, e.At
	o.accounts[e.Account], o.keys[e.KeyID] = a, k
	if a.deposited < a.spent {
		return fmt.Errorf("entry %d: account %s is at %d", e.Sequence, e.Account, a.deposited-a.spent)
	}
	if e.Balance != a.deposited-a.spent {
		return fmt.Errorf("entry %d: balance %d, want %d", e.Sequence, e.Balance, a.deposited-a.spent)
	}
	row := o.usageOf(e)
	row.Requests++
	row.InputTokens += e.Quantity.InputTokens
	row.CachedTokens += e.Quantity.CachedTokens
	row.OutputTokens += e.Quantity.OutputTokens
	row.Duration += e.Quantity.Duration
	row.Charged += e.Amount
	o.usage[row.id()] = row
	return nil
}

// usageOf returns the usage row that an entry belongs to.
func (o *oracle) usageOf(e *Entry) UsageRow {
	row := UsageRow{KeyID: e.KeyID, Owner: e.Account, Model: e.Model, Day: e.At.Truncate(24 * time.Hour)}
	if old, ok := o.usage[row.id()]; ok {
		return old
	}
	return row
}
