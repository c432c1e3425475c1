package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
)

// Report sums up a log that Verify has found consistent.
type Report struct {
	First, Last    int64 // sequence numbers of the entries that were read; 0: none
	Accounts, Keys int
	Calls          int64 // holds that were resolved
	Deposited      Micro // top-ups and adjustments
	Spent          Micro
	WriteOff       Micro
	Snapshots      int // that agree with the log
	// NoChecksum is the number of entries that were written before entries had checksums.
	// A change of one is found, but only as one among those of its commit.
	NoChecksum int64
	Head       Head // of the log, perhaps some entries after Last if it is in use
}

// Verify reads the whole log of a store, in use or not, and checks everything that
// must hold: entries without gaps, balances that follow from each other, no hold
// resolved twice, charges that are what the price says, all accounts summing to
// zero, snapshots and usage rows that agree with the log, and a store in which nothing
// was changed since it was written. The error wraps ErrCorrupt and names the first bad
// entry.
func Verify(ctx context.Context, store Store) (Report, error) {
	start, err := baseline(ctx, store)
	if err != nil {
		return Report{}, fmt.Errorf("%w: start of the log: %w", ErrCorrupt, err)
	}
	snapshots, err := store.Snapshots(ctx)
	if err != nil {
		return Report{}, err
	}
	v := &verifier{core: start, resolved: map[HoldID]uint64{}, hashes: map[int64][32]byte{}}
	for _, info := range snapshots {
		if info.Sequence > start.sequence {
			v.hashes[info.Sequence] = info.Hash
		}
	}
	startsAt := start.at
	if err := store.Replay(ctx, v.core.sequence, v.entry); err != nil {
		return v.report, err
	}
	if err := v.core.checkSums(); err != nil {
		return v.report, err
	}
	if v.unpaid != 0 && !v.optional {
		return v.report, corrupt(v.report.Last, "is not followed by the write-off of %d micro-credits that it calls for", v.unpaid)
	}
	for sequence := range v.hashes {
		if sequence > v.core.sequence {
			return v.report, fmt.Errorf("%w: the log ends before entry %d, which a snapshot has", ErrCorrupt, sequence)
		}
	}
	if err := v.closedUsage(ctx, store, startsAt); err != nil {
		return v.report, err
	}
	if err := store.Check(ctx); err != nil {
		return v.report, err
	}
	if counter, ok := store.(ChecksumCounter); ok {
		if v.report.NoChecksum, err = counter.WithoutChecksum(ctx); err != nil {
			return v.report, err
		}
	}
	v.report.Head, err = store.Head(ctx)
	return v.finish(), err
}

// ChecksumCounter is a Store that may have entries of a time when it gave them no
// checksums.
type ChecksumCounter interface {
	// WithoutChecksum returns the number of entries that have none.
	WithoutChecksum(ctx context.Context) (int64, error)
}

// verifier replays a log and keeps what the checks need beyond the state.
type verifier struct {
	core     *core
	resolved map[HoldID]uint64  // one bit for each hold, by the id without its last 6 bits
	hashes   map[int64][32]byte // of the snapshots that are still to come
	unpaid   Micro              // what the next entry must write off
	// optional is set if that write-off may be missing, because a checkpoint was charged.
	optional bool
	hold     HoldID // of the entry before
	// closedBefore is the day up to which usage must stand in rows of their own:
	// snapshots do not hold what was used before it.
	closedBefore int32
	report       Report
}

// entry checks one entry and applies it.
func (v *verifier) entry(e *Entry) error {
	follows := e.Kind == KindWriteOff && e.Hold == v.hold && e.Amount == v.unpaid
	if v.unpaid != 0 && !v.optional && !follows {
		return corrupt(e.Sequence, "is not the write-off of %d micro-credits that entry %d calls for", v.unpaid, e.Sequence-1)
	}
	if e.Kind == KindWriteOff && !follows {
		return corrupt(e.Sequence, "writes off %d micro-credits that no call left unpaid", e.Amount)
	}
	v.unpaid, v.optional, v.hold = 0, false, e.Hold
	if e.isCall() {
		if err := v.call(e); err != nil {
			return err
		}
	}
	// The next start would charge it.
	if e.Kind == KindCheckpoint && v.wasResolved(e.Hold) {
		return corrupt(e.Sequence, "hold %s was resolved before", e.Hold)
	}
	if e.Kind == KindAdmission {
		if err := v.admission(e); err != nil {
			return err
		}
	}
	if err := v.core.apply(e); err != nil {
		return err
	}
	if e.Kind == KindCheckpoint || e.Kind == KindWriteOff { // they move no balance
		if funds := v.core.accounts[v.core.owners[e.Account]].funds(); e.Balance != funds {
			return corrupt(e.Sequence, "balance is %d, not %d", funds, e.Balance)
		}
	}
	if v.report.First == 0 {
		v.report.First = e.Sequence
	}
	v.report.Last = e.Sequence
	// With many accounts the sums are expensive, so they are not checked for each entry.
	if e.Sequence%10_000 == 0 {
		if err := v.core.checkSums(); err != nil {
			return err
		}
	}
	return v.snapshot(e.Sequence)
}

// call checks that a hold is resolved once and for the right price.
func (v *verifier) call(e *Entry) error {
	if e.Hold.Counter() == 0 || e.Hold.Epoch() > v.core.epoch {
		return corrupt(e.Sequence, "hold %s was never given out", e.Hold)
	}
	if v.wasResolved(e.Hold) {
		return corrupt(e.Sequence, "hold %s was resolved before", e.Hold)
	}
	v.resolved[e.Hold/64] |= 1 << (e.Hold % 64)
	v.report.Calls++
	if err := e.Quantity.validate(); err != nil {
		return corrupt(e.Sequence, "%v", err)
	}
	price := defaultPrice
	if e.PriceVersion != 0 {
		if e.PriceVersion < 0 || e.PriceVersion > int64(len(v.core.prices)) {
			return corrupt(e.Sequence, "price version %d is unknown", e.PriceVersion)
		}
		priced := v.core.prices[e.PriceVersion-1]
		if model := v.core.models.text[priced.model]; model != "" && model != e.Model {
			return corrupt(e.Sequence, "price version %d is not one of model %q", e.PriceVersion, clip.Text(e.Model))
		}
		price = priced.price
	}
	if e.Kind == KindVoid {
		return nil
	}
	cost, _ := price.Cost(e.Quantity)
	// A call that a crash ended may be charged its whole hold.
	if e.Amount > cost && e.Outcome != OutcomeInterrupted {
		return corrupt(e.Sequence, "charge %d exceeds the price %d", e.Amount, cost)
	}
	v.unpaid = max(cost-e.Amount, 0)
	v.optional = e.Outcome == OutcomeInterrupted || e.Outcome == OutcomeDeadline
	return nil
}

// admission checks that calls which are recorded have not ended.
func (v *verifier) admission(e *Entry) error {
	detail, err := decodeAdmission(e.Detail)
	if err != nil {
		return corrupt(e.Sequence, "%v", err)
	}
	for _, counter := range append(detail.Holds, detail.Withdrawn...) {
		if id := makeHoldID(e.Hold.Epoch(), counter); v.wasResolved(id) {
			return corrupt(e.Sequence, "hold %s was resolved before", id)
		}
	}
	for _, counter := range detail.Withdrawn {
		id := makeHoldID(e.Hold.Epoch(), counter)
		v.resolved[id/64] |= 1 << (id % 64)
	}
	return nil
}

func (v *verifier) wasResolved(id HoldID) bool { return v.resolved[id/64]&(1<<(id%64)) != 0 }

// snapshot compares the state with a snapshot that was taken here.
func (v *verifier) snapshot(sequence int64) error {
	want, ok := v.hashes[sequence]
	if !ok {
		return nil
	}
	formats := []string{stateFormat3, stateFormat2, stateFormat1} // it may be older
	for _, format := range formats {
		hash, err := v.core.hash(format)
		if err != nil {
			return err
		}
		if ok = hash == want; ok {
			break
		}
	}
	if !ok {
		return corrupt(sequence, "the snapshot taken here is not what the log says")
	}
	delete(v.hashes, sequence)
	v.closedBefore = v.core.closedBefore()
	v.report.Snapshots++
	return nil
}

// closedUsage compares the rows of days that are over with the log.
func (v *verifier) closedUsage(ctx context.Context, store Store, startsAt int64) error {
	query := UsageQuery{}
	if startsAt != 0 {
		query.From = moment(startsAt)
	}
	closed, err := store.ClosedUsage(ctx, query)
	if err != nil {
		return err
	}
	want := map[usageID]UsageRow{}
	for _, row := range v.core.usageRows(UsageQuery{}) {
		want[row.id()] = row
	}
	differs := func(row UsageRow) error {
		return fmt.Errorf("%w: usage of key %s and model %q on %s is not what the log says",
			ErrCorrupt, row.KeyID, clip.Text(row.Model), row.Day.Format(time.DateOnly))
	}
	for _, row := range closed {
		if row != want[row.id()] {
			return differs(row)
		}
		delete(want, row.id())
	}
	for _, row := range want {
		if day(row.Day.UnixMicro()) < v.closedBefore {
			return differs(row) // it is missing
		}
	}
	return nil
}

func (v *verifier) finish() Report {
	r := v.report
	r.Accounts, r.Keys = len(v.core.accounts), len(v.core.keys.rows)
	r.WriteOff = -v.core.system.writeOff
	for i := range v.core.accounts {
		r.Deposited += v.core.accounts[i].deposited
		r.Spent += v.core.accounts[i].spent
	}
	return r
}
