package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// learnKey and learnPrice take from an entry what the oracle cannot know before.
func (o *oracle) learnKey(e *Entry) error {
	var record struct {
		Budget  *Micro `json:"budget"`
		Revoked int64  `json:"revoked_at"`
		Paused  bool   `json:"paused"`
	}
	if err := json.Unmarshal(e.Detail, &record); err != nil {
		return err
	}
	k := o.keys[e.KeyID]
	k.owner, k.hasBudget, k.revoked, k.paused = e.Account, record.Budget != nil, record.Revoked != 0, record.Paused
	if k.hasBudget {
		k.budget = *record.Budget
	}
	o.keys[e.KeyID] = k
	return nil
}

func (o *oracle) learnPrice(e *Entry) error {
	var price Price
	if err := json.Unmarshal(e.Detail, &price); err != nil {
		return err
	}
	o.prices[e.Model] = price
	o.versions = append(o.versions, price)
	return nil
}

// world is one disk and the lives that processes lead on it.
type world struct {
	random  *rand.Rand
	secrets *rand.ChaCha8
	disk    *simDisk
	store   *simStore
	ledger  *Ledger
	policy  CrashPolicy
	clock   time.Time

	known   *oracle // what the disk says
	history int64   // sequence of the last entry that known has
	acked   map[int64]Entry
	highest int64 // sequence of the last entry that someone was promised

	live    *oracle // known, and what this life did
	waiting []promise
	calls   []simCall
	ended   []HoldID
	// Calls that a commit found running, and calls that never ran, as some commit must
	// have recorded.
	recorded, never map[HoldID]bool
	refused         []HoldID // calls that never ran, since the last commit
	keyIDs          []string
	topUps          int
	kills           int
}

// promise is something a caller waits for.
type promise struct {
	batch *batch
	entry Entry // Sequence, Kind and Amount
}

// simCall is a running call.
type simCall struct {
	id     HoldID
	key    string
	price  Price
	amount Micro
	stream bool
}

func newWorld(seed uint64) *world {
	random := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	var secret [32]byte
	secret[0], secret[1], secret[2], secret[3] = byte(seed), byte(seed>>8), byte(seed>>16), byte(seed>>24)
	policy := CrashPolicy(random.IntN(3))
	return &world{
		random: random, secrets: rand.NewChaCha8(secret), disk: newSimDisk(), policy: policy,
		clock: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), known: newOracle(policy), acked: map[int64]Entry{},
		recorded: map[HoldID]bool{}, never: map[HoldID]bool{},
	}
}

var modelNames = [...]string{"tiny", "large", "free"}

// run leads some lives and returns the first thing that is wrong.
func (w *world) run(lives int) error {
	for life := range lives {
		if err := w.life(life == 0); err != nil {
			return fmt.Errorf("life %d: %w", life, err)
		}
		w.kills++
	}
	w.store = &simStore{disk: w.disk, beforeWrite: func() {}}
	if _, err := Verify(context.Background(), w.store); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	return nil
}

// life opens the ledger, does something, and dies.
func (w *world) life(first bool) error {
	w.disk.hole = false
	w.store = &simStore{disk: w.disk, random: w.random, beforeWrite: w.poll, appended: w.noteCalls, room: 1 << 40, faultIn: -1}
	if !first {
		w.store.fault = fault(1 + w.random.IntN(int(faultFull)))
		w.store.faultIn = 1 + w.random.IntN(9)
	}
	w.waiting, w.calls, w.refused, w.live = nil, nil, nil, nil
	l, err := Open(context.Background(), w.store, func(c *config) { c.manual, c.maxLag, c.recordAfter = true, 1<<62, 0 },
		WithClock(func() time.Time { return w.clock }), WithRandom(w.secrets), WithCrashPolicy(w.policy))
	if err != nil {
		if !errors.Is(err, errFault) {
			return fmt.Errorf("open: %w", err)
		}
		return w.autopsy()
	}
	w.ledger = l
	if err := w.autopsy(); err != nil {
		return err
	}
	if err := w.afterOpen(); err != nil {
		return fmt.Errorf("after open: %w", err)
	}
	if first {
		if err := w.populate(); err != nil {
			return fmt.Errorf("populate: %w", err)
		}
	}
	for range 4 + w.random.IntN(14) {
		if w.store.crashed {
			break
		}
		if err := w.step(); err != nil {
			return err
		}
		w.poll()
	}
	return w.autopsy()
}

// noteCalls notes what a commit must have recorded: the calls that run now.
func (w *world) noteCalls() {
	for _, call := range w.calls {
		w.recorded[call.id] = true
	}
	for _, id := range w.refused {
		w.never[id] = true
	}
	w.refused = nil
}

// callsAfterOpen checks that each call that a commit found running has ended once, as
// interrupted if nobody ended it, and that those that never ran are not counted.
func (w *world) callsAfterOpen() error {
	if len(w.known.streams)+len(w.known.running) > 0 {
		return fmt.Errorf("calls of a dead process run: %v, %v", w.known.streams, w.known.running)
	}
	for id := range w.recorded {
		if !w.known.resolved[id] {
			return fmt.Errorf("call %s ran in a life before and has no entry", id)
		}
	}
	for id := range w.never {
		if _, counted := w.known.counted[id]; counted {
			return fmt.Errorf("call %s never ran and is counted", id)
		}
	}
	clear(w.recorded)
	clear(w.never)
	return nil
}

// poll notes what callers have been promised by now. A process that is dead
// promises nothing.
func (w *world) poll() {
	if w.store.crashed {
		return
	}
	rest := w.waiting[:0]
	for _, p := range w.waiting {
		select {
		case <-p.batch.done:
			if p.batch.err == nil {
				w.promised(p.entry)
			}
		default:
			rest = append(rest, p)
		}
	}
	w.waiting = rest
}

func (w *world) promised(e Entry) {
	w.acked[e.Sequence] = e
	w.highest = max(w.highest, e.Sequence)
}

// autopsy reads the disk and checks that what was promised is there, that what was
// there still is, and that all of it makes sense.
func (w *world) autopsy() error {
	if err := w.learn(); err != nil {
		return err
	}
	if w.highest > w.history {
		return fmt.Errorf("entry %d was promised, the log ends at %d", w.highest, w.history)
	}
	clear(w.acked)
	return nil
}

// learn reads what is new on the disk.
func (w *world) learn() error {
	for i := range w.disk.entries {
		e := &w.disk.entries[i]
		if want := w.disk.first + int64(i); e.Sequence != want {
			return fmt.Errorf("entry %d stands where %d should", e.Sequence, want)
		}
		if promised, ok := w.acked[e.Sequence]; ok && (promised.Kind != e.Kind || promised.Amount != e.Amount) {
			return fmt.Errorf("entry %d is %s of %d, promised was %s of %d", e.Sequence, e.Kind, e.Amount, promised.Kind, promised.Amount)
		}
		if e.Sequence <= w.history {
			continue
		}
		if err := w.known.learn(e); err != nil {
			return err
		}
		w.history = e.Sequence
	}
	return nil
}

// afterOpen compares the opened ledger with what the disk says.
func (w *world) afterOpen() error {
	if err := w.callsAfterOpen(); err != nil {
		return err
	}
	w.live = w.known.clone()
	for id, want := range w.live.accounts {
		got, ok := w.ledger.Account(id)
		if !ok || got.Available != want.deposited-want.spent || got.Spent != want.spent || got.Held != 0 || got.Frozen != want.frozen {
			return fmt.Errorf("account %s: %+v, want %+v", id, got, want)
		}
	}
	for id, want := range w.live.keys {
		got, ok := w.ledger.Key(id)
		if !ok || got.Spent != want.spent || got.Held != 0 || got.HasBudget != want.hasBudget || got.Budget != want.budget || got.RevokedAt.IsZero() == want.revoked ||
			got.Paused != want.paused || got.OwnerFrozen != w.live.accounts[want.owner].frozen || !got.LastUsedAt.Equal(want.lastUsed) {
			return fmt.Errorf("key %s: %+v, want %+v", id, got, want)
		}
	}
	rows, err := w.ledger.Usage(context.Background(), UsageQuery{})
	if err != nil || len(rows) != len(w.live.usage) {
		return fmt.Errorf("%d usage rows, want %d: %w", len(rows), len(w.live.usage), err)
	}
	for _, row := range rows {
		if row != w.live.usage[row.id()] {
			return fmt.Errorf("usage %+v, want %+v", row, w.live.usage[row.id()])
		}
	}
	return nil
}

// populate makes two accounts, three keys and two prices.
func (w *world) populate() error {
	ctx := context.Background()
	for i, request := range []NewKey{{Name: "a", Owner: "one"}, {Name: "b", Owner: "one", HasBudget: true, Budget: 400}, {Name: "c", Owner: "two"}} {
		key, _, err := w.ledger.CreateKey(ctx, request)
		if err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
		w.keyIDs = append(w.keyIDs, key.ID)
	}
	if err := w.ledger.SetPrice(ctx, "large", Price{Input: 3_000_000, Output: 9_000_000, Request: 2}); err != nil {
		return err
	}
	if err := w.ledger.SetPrice(ctx, "free", Price{}); err != nil {
		return err
	}
	if err := w.autopsy(); err != nil {
		return err
	}
	w.live = w.known.clone()
	return nil
}
