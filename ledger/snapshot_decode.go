package ledger

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// decodeCore reads a snapshot. The sums are checked as after every entry.
func decodeCore(r io.Reader) (*core, error) {
	c, d := newCore(), newDecoder(r)
	format := make([]byte, len(stateFormat))
	d.raw(format)
	if d.err == nil && string(format) != stateFormat {
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
			c.keys.put(0, false, row, extra, hint, name)
		}
	}
}

func decodeExtra(d *decoder) keyExtra {
	text := d.text()
	if text == "" {
		return keyExtra{}
	}
	var saved savedExtra
	if err := json.Unmarshal([]byte(text), &saved); err != nil {
		d.fail(err)
	}
	extra := keyExtra{
		previousUntil: saved.PreviousUntil, previousLimits: saved.PreviousLimits, hasPrevious: saved.HasPrevious,
		limitsChangedAt: saved.LimitsChangedAt, metadata: saved.Metadata,
	}
	copy(extra.previousHash[:], saved.PreviousHash)
	return extra
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
