package ledger

import (
	"context"
	"slices"
	"strings"
	"time"
)

// UsageQuery selects usage rows. A zero field matches all.
type UsageQuery struct {
	KeyID string
	Owner string
	Model string
	From  time.Time // UTC day, included
	To    time.Time // UTC day, included
}

// UsageRow sums up the calls of one key to one model on one UTC day.
type UsageRow struct {
	KeyID        string
	Owner        string
	Model        string
	Day          time.Time // midnight UTC
	Requests     int64     // calls that ran
	InputTokens  int64
	CachedTokens int64
	OutputTokens int64
	Duration     time.Duration
	Charged      Micro
	WriteOff     Micro // the part of the calls' price that was not charged
}

// usageID identifies a usage row.
type usageID struct {
	key, model string
	day        int64
}

func (r *UsageRow) id() usageID { return usageID{r.KeyID, r.Model, r.Day.Unix()} }

// Usage returns the usage rows that match a query, ordered by day, key and model. The
// error is the store's.
func (l *Ledger) Usage(ctx context.Context, query UsageQuery) ([]UsageRow, error) {
	// Rows move from the state to the store. Reading the state first may find a row twice,
	// but never misses one.
	l.mu.Lock()
	rows := l.core.usageRows(query)
	l.mu.Unlock()
	closed, err := l.store.ClosedUsage(ctx, query)
	if err != nil {
		return nil, err
	}
	seen := make(map[usageID]bool, len(rows))
	for i := range rows {
		seen[rows[i].id()] = true
	}
	for i := range closed {
		if !seen[closed[i].id()] {
			rows = append(rows, closed[i])
		}
	}
	slices.SortFunc(rows, func(a, b UsageRow) int {
		if order := a.Day.Compare(b.Day); order != 0 {
			return order
		}
		if order := strings.Compare(a.KeyID, b.KeyID); order != 0 {
			return order
		}
		return strings.Compare(a.Model, b.Model)
	})
	return rows, nil
}

// usageRows returns the rows of the days that are not closed.
func (c *core) usageRows(query UsageQuery) []UsageRow {
	var out []UsageRow
	add := func(row *usageRow) {
		if public := c.publicUsage(row); query.matches(&public) {
			out = append(out, public)
		}
	}
	if query.KeyID == "" {
		for i := range c.usage.rows {
			add(&c.usage.rows[i])
		}
		return out
	}
	raw, _ := parseKeyID(query.KeyID)
	if index, ok := c.keys.byID[raw]; ok {
		for number := c.keys.rows[index].usage; number != noUsage; number = c.usage.rows[number-1].next {
			add(&c.usage.rows[number-1])
		}
	}
	return out
}

func (c *core) publicUsage(row *usageRow) UsageRow {
	key := &c.keys.rows[row.key]
	return UsageRow{
		KeyID: string(key.id[:]), Owner: c.accounts[key.owner].id, Model: c.models.text[row.model],
		Day: time.Unix(int64(row.day)*86400, 0).UTC(), Requests: row.requests,
		InputTokens: row.input, CachedTokens: row.cached, OutputTokens: row.output,
		Duration: time.Duration(row.duration) * time.Microsecond, Charged: row.charged, WriteOff: row.writeOff,
	}
}

// matches reports whether the query selects a row.
func (q *UsageQuery) matches(row *UsageRow) bool {
	return (q.KeyID == "" || q.KeyID == row.KeyID) && (q.Owner == "" || q.Owner == row.Owner) &&
		(q.Model == "" || q.Model == row.Model) &&
		(q.From.IsZero() || !row.Day.Before(q.From.UTC().Truncate(24*time.Hour))) &&
		(q.To.IsZero() || !row.Day.After(q.To.UTC()))
}

// Entries returns at most limit durable entries after a sequence number, in order. limit
// is at most 10,000; 0 means 1000. The error is the store's, or wraps ErrCorrupt.
func (l *Ledger) Entries(ctx context.Context, after int64, limit int) ([]Entry, error) {
	const usual, most = 1000, 10_000
	if limit <= 0 {
		limit = usual
	}
	return l.store.Entries(ctx, max(after, 0), min(limit, most))
}

// EntryQuery chooses entries. Zero fields match all.
type EntryQuery struct {
	After     int64 // sequence number; entries follow it
	Account   string
	KeyID     string
	RequestID string
	Kinds     []Kind
	From      time.Time // entries of this moment and later
	Before    time.Time // entries of earlier moments
	Limit     int       // at most 10,000, by default 1000
}

// Matches reports whether an entry is asked for. Limit does not count.
func (q *EntryQuery) Matches(e *Entry) bool {
	return e.Sequence > q.After &&
		(q.Account == "" || q.Account == e.Account) &&
		(q.KeyID == "" || q.KeyID == e.KeyID) &&
		(q.RequestID == "" || q.RequestID == e.RequestID) &&
		(len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) &&
		(q.From.IsZero() || !e.At.Before(q.From)) &&
		(q.Before.IsZero() || e.At.Before(q.Before))
}

// EntryFinder is a Store that finds entries faster than by reading all of them.
type EntryFinder interface {
	// FindEntries returns the entries that match a query, in order, at most Limit.
	FindEntries(ctx context.Context, query EntryQuery) ([]Entry, error)
}

// FindEntries returns the durable entries that match a query, in order. There may be
// more after the last one if there are as many as the limit.
func (l *Ledger) FindEntries(ctx context.Context, query EntryQuery) ([]Entry, error) {
	const usual, most = 1000, 10_000
	if query.Limit <= 0 {
		query.Limit = usual
	}
	query.Limit, query.After = min(query.Limit, most), max(query.After, 0)
	if finder, ok := l.store.(EntryFinder); ok {
		return finder.FindEntries(ctx, query)
	}
	return findEntries(ctx, l.store, query)
}

// findEntries reads a store until it has what a query asks for.
func findEntries(ctx context.Context, store Store, query EntryQuery) ([]Entry, error) {
	after := query.After
	if !query.From.IsZero() {
		since, err := store.Since(ctx, query.From)
		if err != nil {
			return nil, err
		}
		after = max(after, since)
	}
	var found []Entry
	for {
		page, err := store.Entries(ctx, after, 1000)
		if err != nil || len(page) == 0 {
			return found, err
		}
		for i := range page {
			e := &page[i]
			if !query.Before.IsZero() && !e.At.Before(query.Before) {
				return found, nil // times never decrease
			}
			if query.Matches(e) {
				if found = append(found, *e); len(found) == query.Limit {
					return found, nil
				}
			}
		}
		after = page[len(page)-1].Sequence
	}
}

// Settled is one call that ran.
type Settled struct {
	KeyID        string
	Model        string
	At           time.Time // when it ended
	InputTokens  int64
	OutputTokens int64
}

// SettledSince calls use for each durable call that ended at or after a moment, in order.
// After a crash it serves to rebuild counters that are only in memory. It returns the
// first error of use or of the store.
func (l *Ledger) SettledSince(ctx context.Context, since time.Time, use func(Settled) error) error {
	after, err := l.store.Since(ctx, since)
	if err != nil {
		return err
	}
	return l.store.Replay(ctx, after, func(e *Entry) error {
		if !e.isCall() {
			return nil
		}
		return use(Settled{KeyID: e.KeyID, Model: e.Model, At: e.At, InputTokens: e.Quantity.InputTokens, OutputTokens: e.Quantity.OutputTokens})
	})
}

// Stats are figures for monitoring.
type Stats struct {
	Keys, Accounts  int
	OpenHolds       int
	Held            Micro // by all open holds
	WriteOff        Micro // ever written off
	Sequence        int64 // of the last entry
	DurableSequence int64 // of the last durable entry
}

// Stats returns figures for monitoring.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := Stats{
		Keys: len(l.core.keys.rows), Accounts: len(l.core.accounts), OpenHolds: len(l.core.holds),
		WriteOff: -l.core.system.writeOff, Sequence: l.core.sequence, DurableSequence: l.durable,
	}
	for _, h := range l.core.holds {
		stats.Held += h.amount
	}
	return stats
}
