package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/penstockhq/penstock/limits"
)

// stateFormat starts every snapshot. Another format is another word.
const stateFormat = "penstock state 1\n"

// clone returns a copy of what lasts, to be written while the original goes on. It
// copies memory and follows no pointers: what it shares is never changed in place.
func (c *core) clone() *core {
	keys := c.keys
	keys.rows = slices.Clone(c.keys.rows)
	keys.extras = maps.Clone(c.keys.extras)
	keys.policies.list = slices.Clone(c.keys.policies.list)
	keys.arena.chunks = slices.Clone(c.keys.arena.chunks)
	return &core{
		sequence: c.sequence, at: c.at, epoch: c.epoch, models: names{text: c.models.text}, prices: c.prices,
		accounts: slices.Clone(c.accounts), keys: keys, usage: usageTable{rows: slices.Clone(c.usage.rows)},
		deposits: c.deposits, open: maps.Clone(c.open), system: c.system,
	}
}

// closedBefore returns the first day that is not over: rows of earlier days can
// not change any more, because entries' times never decrease.
func (c *core) closedBefore() int32 { return day(c.at) }

// closedUsage returns the rows of the days that are over.
func (c *core) closedUsage() []UsageRow {
	var closed []UsageRow
	for i := range c.usage.rows {
		if row := &c.usage.rows[i]; row.day < c.closedBefore() {
			closed = append(closed, c.publicUsage(row))
		}
	}
	return closed
}

// encode writes all that lasts, but for the usage of days that are over. The same
// state is always the same bytes, however it came about.
func (c *core) encode(w io.Writer) error {
	e := newEncoder(w)
	e.raw([]byte(stateFormat))
	for _, value := range []int64{
		c.sequence, c.at, int64(c.epoch), int64(c.system.issued), int64(c.system.adjusted),
		int64(c.system.revenue), int64(c.system.writeOff),
	} {
		e.number(value)
	}
	e.unsigned(uint64(len(c.prices)))
	for _, priced := range c.prices {
		e.model(c.models.text[priced.model])
		p := priced.price
		for _, part := range []Micro{p.Minute, p.Input, p.CachedInput, p.Output, p.Request} {
			e.number(int64(part))
		}
	}
	e.unsigned(uint64(len(c.accounts)))
	for i := range c.accounts {
		a := &c.accounts[i]
		e.text(a.id)
		e.text(a.name)
		for _, value := range []int64{int64(a.deposited), int64(a.spent), a.created} {
			e.number(value)
		}
	}
	c.encodeKeys(e)
	c.encodeUsage(e)
	e.unsigned(uint64(len(c.deposits)))
	for _, deposit := range c.deposits {
		e.raw(deposit.mark[:])
		e.unsigned(uint64(deposit.account))
		e.number(int64(deposit.amount))
		e.number(deposit.sequence)
	}
	c.encodeOpen(e)
	return e.finish()
}

// hash returns the SHA-256 of what encode writes.
func (c *core) hash() ([32]byte, error) {
	sum := sha256.New()
	err := c.encode(sum)
	return [32]byte(sum.Sum(nil)), err
}

// encodeKeys writes the keys. A policy is written where it is first used.
func (c *core) encodeKeys(e *encoder) {
	e.unsigned(uint64(len(c.keys.rows)))
	policies := map[uint32]uint64{}
	for i := range c.keys.rows {
		row := &c.keys.rows[i]
		e.raw(row.hash[:])
		e.raw(row.id[:])
		hint, name := c.keys.text(row)
		e.text(hint)
		e.text(name)
		for _, value := range []uint64{uint64(row.role), uint64(row.flags), uint64(row.owner), uint64(row.version)} {
			e.unsigned(value)
		}
		for _, value := range []int64{int64(row.budget), int64(row.spent), row.calls, row.created, row.expires, row.revoked} {
			e.number(value)
		}
		number, written := policies[row.policy]
		e.unsigned(number)
		if !written {
			e.text(c.keys.policies.list[row.policy].text)
			policies[row.policy] = uint64(len(policies) + 1)
		}
		extra, ok := c.keys.extras[uint32(i)]
		if !ok {
			e.text("")
			continue
		}
		e.text(extra.encode())
	}
}

// encode returns the extra as JSON; map keys are in order there.
func (x keyExtra) encode() string {
	text, err := json.Marshal(savedExtra{
		PreviousHash: x.previousHash[:], PreviousUntil: x.previousUntil, PreviousLimits: x.previousLimits,
		HasPrevious: x.hasPrevious, LimitsChangedAt: x.limitsChangedAt, Metadata: x.metadata,
	})
	if err != nil {
		panic("ledger: encode key: " + err.Error()) // texts and numbers: nothing to fail
	}
	return string(text)
}

// savedExtra is a keyExtra in a snapshot.
type savedExtra struct {
	PreviousHash    []byte            `json:"previous_hash"`
	PreviousUntil   int64             `json:"previous_until"`
	PreviousLimits  []limits.Row      `json:"previous_limits"`
	HasPrevious     bool              `json:"has_previous"`
	LimitsChangedAt int64             `json:"limits_changed_at"`
	Metadata        map[string]string `json:"metadata"`
}

// encodeUsage writes the rows of days that are not over, in order.
func (c *core) encodeUsage(e *encoder) {
	rows := make([]*usageRow, 0, len(c.usage.rows))
	for i := range c.usage.rows {
		if row := &c.usage.rows[i]; row.day >= c.closedBefore() {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b *usageRow) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.day, b.day),
			cmp.Compare(c.models.text[a.model], c.models.text[b.model]))
	})
	e.unsigned(uint64(len(rows)))
	for _, row := range rows {
		e.unsigned(uint64(row.key))
		e.model(c.models.text[row.model])
		for _, value := range []int64{
			int64(row.day), row.requests, row.input, row.cached, row.output, row.duration, int64(row.charged),
		} {
			e.number(value)
		}
	}
}

// encodeOpen writes the streams that run, as far as the log knows them.
func (c *core) encodeOpen(e *encoder) {
	e.unsigned(uint64(len(c.open)))
	for _, id := range slices.Sorted(maps.Keys(c.open)) {
		saved := c.open[id]
		entry := &saved.entry
		e.unsigned(uint64(id))
		e.text(entry.Account)
		e.text(entry.KeyID)
		e.model(entry.Model)
		e.text(entry.RequestID)
		for _, value := range []int64{
			entry.Quantity.InputTokens, entry.Quantity.CachedTokens, entry.Quantity.OutputTokens,
			entry.Quantity.Duration.Microseconds(), int64(entry.Amount), entry.PriceVersion, int64(saved.held),
		} {
			e.number(value)
		}
	}
}
