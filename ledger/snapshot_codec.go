package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// A snapshot starts with its format. Format 2 has more at its end: what accounts are
// frozen, when keys were used, and which requests were carried out. Format 3 adds the
// calls that ran, and what was written off of the usage.
const (
	stateFormat1 = "penstock state 1\n"
	stateFormat2 = "penstock state 2\n"
	stateFormat3 = "penstock state 3\n"
)

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
		deposits: c.deposits, requests: c.requests, open: maps.Clone(c.open), admitted: maps.Clone(c.admitted), system: c.system,
	}
}

// closedBefore returns the first day that is not over: rows of earlier days
// cannot change any more, because entries' times never decrease.
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
func (c *core) encode(w io.Writer) error { return c.encodeAs(w, stateFormat3) }

// encodeAs writes the state in a format, also in one that it is no longer kept in.
func (c *core) encodeAs(w io.Writer, format string) error {
	e := newEncoder(w)
	e.raw([]byte(format))
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
	c.encodeUsage(e, format)
	e.unsigned(uint64(len(c.deposits)))
	for _, deposit := range c.deposits {
		e.raw(deposit.mark[:])
		e.unsigned(uint64(deposit.account))
		e.number(int64(deposit.amount))
		e.number(deposit.sequence)
	}
	c.encodeOpen(e)
	if format != stateFormat1 {
		c.encodeMore(e)
	}
	if format == stateFormat3 {
		c.encodeAdmitted(e)
	}
	return e.finish()
}

// encodeMore writes what format 1 does not have.
func (c *core) encodeMore(e *encoder) {
	for i := range c.accounts {
		frozen := uint64(0)
		if c.accounts[i].frozen {
			frozen = 1
		}
		e.unsigned(frozen)
	}
	for i := range c.keys.rows {
		e.number(c.keys.rows[i].lastUsed)
	}
	e.unsigned(uint64(len(c.requests)))
	for i := range c.requests {
		r := &c.requests[i]
		e.raw(r.mark[:])
		e.raw(r.request[:])
		e.number(r.sequence)
		e.unsigned(uint64(r.index))
	}
}

// hash returns the SHA-256 of what encodeAs writes.
func (c *core) hash(format string) ([32]byte, error) {
	sum := sha256.New()
	err := c.encodeAs(sum, format)
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

// encodeUsage writes the rows of days that are not over, in order.
func (c *core) encodeUsage(e *encoder, format string) {
	rows := make([]*usageRow, 0, len(c.usage.rows))
	for i := range c.usage.rows {
		row := &c.usage.rows[i]
		if row.requests == 0 && format != stateFormat3 {
			continue // only of a write-off, which older formats do not have
		}
		if row.day >= c.closedBefore() {
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
		if format == stateFormat3 {
			e.number(int64(row.writeOff))
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

// encodeAdmitted writes the calls that run and have no checkpoint, as far as the log
// knows them.
func (c *core) encodeAdmitted(e *encoder) {
	e.unsigned(uint64(len(c.admitted)))
	for _, id := range slices.Sorted(maps.Keys(c.admitted)) {
		call := c.admitted[id]
		e.unsigned(uint64(id))
		e.unsigned(uint64(call.key))
		e.model(c.models.text[call.model])
		e.text(call.requestID)
	}
}

// decodeCore reads a snapshot. The sums are checked as after every entry.
func decodeCore(r io.Reader) (*core, error) {
	c, d := newCore(), newDecoder(r)
	raw := make([]byte, len(stateFormat3))
	d.raw(raw)
	format := string(raw)
	c.format = format
	if d.err == nil && !slices.Contains([]string{stateFormat1, stateFormat2, stateFormat3}, format) {
		return nil, fmt.Errorf("%w: it starts with %q", ErrSnapshotDamaged, format)
	}
	c.sequence, c.at, c.epoch = d.number(), d.number(), uint64(d.number())
	for _, target := range []*Micro{&c.system.issued, &c.system.adjusted, &c.system.revenue, &c.system.writeOff} {
		*target = Micro(d.number())
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		c.decodePrice(d)
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		a := account{id: d.text(), name: d.text(), deposited: Micro(d.number()), spent: Micro(d.number()), created: d.number()}
		c.owners[a.id] = uint32(len(c.accounts))
		c.accounts = append(c.accounts, a)
	}
	c.decodeKeys(d)
	c.decodeUsage(d)
	for n := d.count(); n > 0 && d.err == nil; n-- {
		deposit := deposit{}
		d.raw(deposit.mark[:])
		deposit.account, deposit.amount, deposit.sequence = uint32(d.unsigned()), Micro(d.number()), d.number()
		c.depositOf[deposit.mark] = uint32(len(c.deposits))
		c.deposits = append(c.deposits, deposit)
	}
	c.decodeOpen(d)
	if format != stateFormat1 {
		c.decodeMore(d)
	}
	if format == stateFormat3 {
		c.decodeAdmitted(d)
	}
	if d.err != nil {
		return nil, d.err
	}
	return c, c.checkSums()
}

func (c *core) decodePrice(d *decoder) {
	model, err := c.models.index(d.model())
	if err != nil {
		d.fail(err)
	}
	var price Price
	for _, part := range []*Micro{&price.Minute, &price.Input, &price.CachedInput, &price.Output, &price.Request} {
		*part = Micro(d.number())
	}
	c.prices = append(c.prices, pricedModel{model: model, price: price})
	c.priceOf[model] = int64(len(c.prices))
}

func (c *core) decodeKeys(d *decoder) {
	var policies []uint32 // number in the snapshot to number in the table
	for n := d.count(); n > 0 && d.err == nil; n-- {
		var row keyRow
		d.raw(row.hash[:])
		d.raw(row.id[:])
		hint, name := d.text(), d.text()
		row.role, row.flags, row.owner, row.version = Role(d.unsigned()), uint8(d.unsigned()), uint32(d.unsigned()), uint32(d.unsigned())
		row.budget, row.spent, row.calls = Micro(d.number()), Micro(d.number()), d.number()
		row.created, row.expires, row.revoked = d.number(), d.number(), d.number()
		if int(row.owner) >= len(c.accounts) {
			d.fail(fmt.Errorf("key of account %d of %d", row.owner, len(c.accounts)))
			return
		}
		number := d.unsigned()
		if number == 0 {
			var policy keyPolicy
			if err := json.Unmarshal([]byte(d.text()), &policy); err != nil {
				d.fail(err)
			}
			row.policy = c.keys.policies.acquire(policy)
			policies = append(policies, row.policy)
		} else if number > uint64(len(policies)) {
			d.fail(fmt.Errorf("policy %d of %d", number, len(policies)))
			return
		} else {
			row.policy = policies[number-1]
			c.keys.policies.list[row.policy].users++
		}
		extra := decodeExtra(d)
		if d.err == nil {
			c.keys.reserve(n)
			c.keys.put(0, false, row, extra, hint, name)
		}
	}
}

// decodeMore reads what encodeMore writes.
func (c *core) decodeMore(d *decoder) {
	for i := range c.accounts {
		c.accounts[i].frozen = d.unsigned() != 0
	}
	for i := range c.keys.rows {
		c.keys.rows[i].lastUsed = d.number()
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		var r request
		d.raw(r.mark[:])
		d.raw(r.request[:])
		r.sequence, r.index = d.number(), uint32(d.unsigned())
		if int(r.index) >= max(len(c.keys.rows), len(c.accounts)) {
			d.fail(fmt.Errorf("request of key or account %d", r.index))
		}
		c.requestOf[r.mark] = uint32(len(c.requests))
		c.requests = append(c.requests, r)
	}
}

func (c *core) decodeUsage(d *decoder) {
	for n := d.count(); n > 0 && d.err == nil; n-- {
		row := usageRow{key: uint32(d.unsigned())}
		model, err := c.models.index(d.model())
		if err != nil {
			d.fail(err)
		}
		row.model = model
		row.day = int32(d.number())
		for _, target := range []*int64{&row.requests, &row.input, &row.cached, &row.output, &row.duration} {
			*target = d.number()
		}
		row.charged = Micro(d.number())
		if c.format == stateFormat3 {
			row.writeOff = Micro(d.number())
		}
		if int(row.key) >= len(c.keys.rows) {
			d.fail(fmt.Errorf("usage of key %d of %d", row.key, len(c.keys.rows)))
			return
		}
		c.usage.rows = append(c.usage.rows, row)
	}
	c.usage.chain(c.keys.rows)
}

func (c *core) decodeOpen(d *decoder) {
	for n := d.count(); n > 0 && d.err == nil; n-- {
		entry := Entry{Kind: KindCheckpoint, Hold: HoldID(d.unsigned()), Account: d.text(), KeyID: d.text(), Model: d.model(), RequestID: d.text()}
		q := &entry.Quantity
		q.InputTokens, q.CachedTokens, q.OutputTokens = d.number(), d.number(), d.number()
		q.Duration = time.Duration(d.number()) * time.Microsecond
		entry.Amount, entry.PriceVersion = Micro(d.number()), d.number()
		c.open[entry.Hold] = checkpoint{entry: entry, held: Micro(d.number())}
		if _, _, err := c.parties(&entry); err != nil {
			d.fail(err)
		}
	}
}

// decodeAdmitted reads what encodeAdmitted writes.
func (c *core) decodeAdmitted(d *decoder) {
	for n := d.count(); n > 0 && d.err == nil; n-- {
		id, call := HoldID(d.unsigned()), admission{key: uint32(d.unsigned())}
		model, err := c.models.index(d.model())
		if err != nil {
			d.fail(err)
		}
		call.model, call.requestID = model, d.text()
		if int(call.key) >= len(c.keys.rows) {
			d.fail(fmt.Errorf("call of key %d of %d", call.key, len(c.keys.rows)))
		}
		c.admitted[id] = call
	}
}
