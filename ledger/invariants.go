package ledger

import "fmt"

// checkSums checks what must hold after every entry: nothing is negative, all
// accounts sum to zero, and what the log knows to run is covered. The error wraps
// ErrCorrupt.
func (c *core) checkSums() error {
	var deposited, spent, held, heldByKeys, heldByHolds Micro
	for i := range c.accounts {
		a := &c.accounts[i]
		if a.held < 0 || a.spent < 0 || a.available() < 0 || a.deposited > MaxMicro {
			return c.broken("account %q: available %d, held %d, spent %d", a.id, a.available(), a.held, a.spent)
		}
		deposited, spent, held = deposited+a.deposited, spent+a.spent, held+a.held
	}
	var spentByKeys Micro
	for i := range c.keys.rows {
		k := &c.keys.rows[i]
		if k.held < 0 || k.spent < 0 {
			return c.broken("key %s: held %d, spent %d", k.id[:], k.held, k.spent)
		}
		spentByKeys, heldByKeys = spentByKeys+k.spent, heldByKeys+k.held
	}
	for _, h := range c.holds {
		heldByHolds += h.amount
	}
	// The sums over all accounts may go round: a thousand accounts that were given
	// the most there is exceed an int64. What must be equal still is.
	s := c.system
	switch {
	case deposited+s.issued+s.adjusted != 0:
		return c.broken("accounts were given %d, but %d were issued", deposited, -s.issued-s.adjusted)
	case s.revenue+s.writeOff != spent || spent != spentByKeys:
		return c.broken("accounts spent %d, keys %d, but %d came in", spent, spentByKeys, s.revenue+s.writeOff)
	case held != heldByKeys || held != heldByHolds:
		return c.broken("accounts hold %d, keys %d, calls %d", held, heldByKeys, heldByHolds)
	}
	return nil
}

func (c *core) broken(format string, arguments ...any) error {
	return fmt.Errorf("%w: after entry %d: %s", ErrCorrupt, c.sequence, fmt.Sprintf(format, arguments...))
}
