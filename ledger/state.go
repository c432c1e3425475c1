package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
)

// core is the ledger's state machine. Only apply(entry) changes its durable part. It has
// no clock, no randomness, no IO and no lock of its own, so that the same entries always
// give the same state. Open holds are not durable: they end with the process, and the log
// only records how they were resolved.
type core struct {
	sequence int64 // of the last entry applied
	at       int64 // its time, microseconds since 1970
	epoch    uint64

	models    names
	prices    []pricedModel // by version, from 1
	priceOf   map[uint32]int64
	accounts  []account
	owners    map[string]uint32 // account id to index
	keys      keyTable
	usage     usageTable
	deposits  []deposit
	depositOf map[[16]byte]uint32 // mark to index
	requests  []request
	requestOf map[[16]byte]uint32   // mark to index
	open      map[HoldID]checkpoint // running streams, as far as the log knows them
	admitted  map[HoldID]admission  // other running calls, as far as the log knows them
	system    systemAccounts

	holds   map[HoldID]openHold
	counter uint64

	// format is that of the snapshot which the state was read from, if it was.
	format string
}

// account is a customer's account. available = deposited - spent - held.
type account struct {
	id, name  string
	frozen    bool
	deposited Micro // top-ups and adjustments
	spent     Micro
	held      Micro
	created   int64
}

func (a *account) funds() Micro     { return a.deposited - a.spent }
func (a *account) available() Micro { return a.deposited - a.spent - a.held }

// systemAccounts are the other side of every posting, so that all accounts together
// always sum to zero.
type systemAccounts struct {
	issued   Micro // the sum of all top-ups, negated
	adjusted Micro // the sum of all adjustments, negated
	revenue  Micro // the price of all calls
	writeOff Micro // the part of it that was written off, negated
}

// pricedModel is one version of a model's price.
type pricedModel struct {
	model uint32
	price Price
}

// deposit is a top-up or adjustment, kept for its idempotency key.
type deposit struct {
	mark     [16]byte
	account  uint32
	amount   Micro
	sequence int64
}

// checkpoint is the last known consumption of a running stream.
type checkpoint struct {
	entry Entry
	held  Micro
}

// openHold is credit set aside for a running call.
type openHold struct {
	key, account, model uint32
	version             int64
	price               Price
	amount              Micro
	deadline            time.Time // zero: none
	requestID           string
	stream              bool
	checkpointAt        time.Time
	checkpointed        Micro
}

func newCore() *core {
	return &core{
		models: newNames(), priceOf: map[uint32]int64{}, owners: map[string]uint32{},
		keys: newKeyTable(), depositOf: map[[16]byte]uint32{}, requestOf: map[[16]byte]uint32{},
		open: map[HoldID]checkpoint{}, admitted: map[HoldID]admission{}, holds: map[HoldID]openHold{},
	}
}

// apply adds one entry to the state, or changes nothing and returns an error that wraps
// ErrCorrupt. New entries and those of the log go through the same function.
func (c *core) apply(e *Entry) error {
	at := e.At.UnixMicro()
	if e.Sequence != c.sequence+1 {
		return corrupt(e.Sequence, "follows entry %d", c.sequence)
	}
	if at < c.at {
		return corrupt(e.Sequence, "is older than the entry before")
	}
	if err := c.applyKind(e); err != nil {
		return corrupt(e.Sequence, "%s: %v", e.Kind, err)
	}
	c.sequence, c.at = e.Sequence, at
	return nil
}

func (c *core) applyKind(e *Entry) error {
	switch e.Kind {
	case KindEpoch:
		return c.applyEpoch(e)
	case KindAccount:
		return c.applyAccount(e)
	case KindKey:
		return c.applyKey(e)
	case KindPrice:
		return c.applyPrice(e)
	case KindTopUp, KindAdjust:
		return c.applyDeposit(e)
	case KindSettle, KindVoid:
		return c.applyCall(e)
	case KindWriteOff:
		return c.applyWriteOff(e)
	case KindCheckpoint:
		return c.applyCheckpoint(e)
	case KindAdmission:
		return c.applyAdmission(e)
	default:
		return fmt.Errorf("kind %d is unknown", e.Kind)
	}
}

// applyEpoch starts a new epoch. Holds of earlier ones may still be open: those of calls
// that run on in a process which has handed the ledger over.
func (c *core) applyEpoch(e *Entry) error {
	if e.Hold.Epoch() <= c.epoch {
		return fmt.Errorf("epoch %d follows epoch %d", e.Hold.Epoch(), c.epoch)
	}
	c.epoch, c.counter = e.Hold.Epoch(), 0
	return nil
}

func (c *core) applyDeposit(e *Entry) error {
	index, ok := c.owners[e.Account]
	if !ok {
		return fmt.Errorf("account %q is unknown", clip.Text(e.Account))
	}
	a := &c.accounts[index]
	if e.Amount < -MaxMicro || e.Amount > MaxMicro || (e.Kind == KindTopUp && e.Amount <= 0) {
		return fmt.Errorf("amount %d is out of range", e.Amount)
	}
	deposited := a.deposited + e.Amount
	if deposited > MaxMicro || deposited-a.spent-a.held < 0 {
		return fmt.Errorf("amount %d takes the balance of account %q out of range", e.Amount, clip.Text(e.Account))
	}
	if e.Balance != deposited-a.spent {
		return fmt.Errorf("balance is %d, not %d", deposited-a.spent, e.Balance)
	}
	detail, err := decodeDeposit(e.Detail)
	if err != nil {
		return err
	}
	mark := referenceMark(e.Reference)
	if _, used := c.depositOf[mark]; used && detail.Request == nil {
		return errors.New("idempotency key was used before")
	}
	if err := c.remember(detail.Request, e.Sequence, index); err != nil {
		return err
	}
	a.deposited = deposited
	if e.Kind == KindTopUp {
		c.system.issued -= e.Amount
	} else {
		c.system.adjusted -= e.Amount
	}
	if detail.Request != nil {
		return nil
	}
	c.depositOf[mark] = uint32(len(c.deposits))
	c.deposits = append(c.deposits, deposit{mark: mark, account: index, amount: e.Amount, sequence: e.Sequence})
	return nil
}

// depositDetail is the detail of an adjustment. Top-ups have none.
type depositDetail struct {
	Reason  string         `json:"reason,omitempty"`
	Request *requestRecord `json:"request,omitempty"`
}

func decodeDeposit(raw []byte) (detail depositDetail, err error) {
	if len(raw) == 0 {
		return detail, nil
	}
	if err = json.Unmarshal(raw, &detail); err != nil {
		err = fmt.Errorf("detail: %w", err)
	}
	return detail, err
}

// applyCall resolves a hold: it takes the charge and gives the rest back.
func (c *core) applyCall(e *Entry) error {
	keyIndex, accountIndex, err := c.parties(e)
	if err != nil {
		return err
	}
	hold := c.holds[e.Hold] // zero if the entry comes from the log
	a, k := &c.accounts[accountIndex], &c.keys.rows[keyIndex]
	if e.Amount < 0 || (e.Kind == KindVoid && e.Amount != 0) {
		return fmt.Errorf("charge %d is out of range", e.Amount)
	}
	if e.Amount > a.available()+hold.amount {
		return fmt.Errorf("charge %d exceeds the balance %d", e.Amount, a.available()+hold.amount)
	}
	if e.Balance != a.funds()-e.Amount {
		return fmt.Errorf("balance is %d, not %d", a.funds()-e.Amount, e.Balance)
	}
	model, err := c.models.index(e.Model)
	if err != nil {
		return err
	}
	a.held -= hold.amount
	k.held -= hold.amount
	a.spent += e.Amount
	k.spent += e.Amount
	k.calls++
	k.lastUsed = e.At.UnixMicro()
	c.system.revenue += e.Amount
	delete(c.holds, e.Hold)
	c.forget(e.Hold)
	row := c.usage.row(k, keyIndex, model, day(e.At.UnixMicro()))
	row.requests++
	row.input = sumUp(row.input, e.Quantity.InputTokens)
	row.cached = sumUp(row.cached, e.Quantity.CachedTokens)
	row.output = sumUp(row.output, e.Quantity.OutputTokens)
	// It must fit into a time.Duration, which counts nanoseconds.
	row.duration = min(sumUp(row.duration, e.Quantity.Duration.Microseconds()), math.MaxInt64/1000)
	row.charged += e.Amount
	return nil
}

// sumUp adds to a sum of usage, up to the largest int64: an upstream that reports
// nonsense must not make the sum negative.
func sumUp(sum, more int64) int64 {
	if more > math.MaxInt64-sum {
		return math.MaxInt64
	}
	return sum + more
}

// applyWriteOff records that a part of a price was not paid. It counts as revenue and as
// a loss, and changes no customer's account.
func (c *core) applyWriteOff(e *Entry) error {
	keyIndex, _, err := c.parties(e)
	if err != nil {
		return err
	}
	if e.Amount <= 0 || e.Amount > MaxMicro {
		return fmt.Errorf("amount %d is out of range", e.Amount)
	}
	if err := c.addWriteOff(e, keyIndex); err != nil {
		return err
	}
	c.system.revenue += e.Amount
	c.system.writeOff -= e.Amount
	return nil
}

// addWriteOff adds a write-off to the usage of its key, model and day.
func (c *core) addWriteOff(e *Entry, key uint32) error {
	model, err := c.models.index(e.Model)
	if err != nil {
		return err
	}
	row := c.usage.row(&c.keys.rows[key], key, model, day(e.At.UnixMicro()))
	row.writeOff = Micro(sumUp(int64(row.writeOff), int64(e.Amount)))
	return nil
}

func (c *core) applyCheckpoint(e *Entry) error {
	if _, _, err := c.parties(e); err != nil {
		return err
	}
	detail, err := decodeCheckpoint(e.Detail)
	if err != nil {
		return err
	}
	if e.Amount < 0 || e.Amount > detail.Held {
		return fmt.Errorf("charge %d exceeds the hold %d", e.Amount, detail.Held)
	}
	if last, running := c.open[e.Hold]; running && e.Amount < last.entry.Amount {
		return fmt.Errorf("charge %d is below the checkpoint before, %d", e.Amount, last.entry.Amount)
	}
	if e.Hold.Epoch() != c.epoch && !c.recorded(e.Hold) { // those of an earlier one were handed over
		return fmt.Errorf("hold %s is of another epoch", e.Hold)
	}
	kept := *e
	kept.Detail = nil
	delete(c.admitted, e.Hold)
	c.open[e.Hold] = checkpoint{entry: kept, held: detail.Held}
	return nil
}

// parties returns the indexes of the key and the account that an entry names.
func (c *core) parties(e *Entry) (key, account uint32, err error) {
	id, _ := parseKeyID(e.KeyID)
	key, ok := c.keys.byID[id]
	if !ok {
		return 0, 0, fmt.Errorf("key %q is unknown", clip.Text(e.KeyID))
	}
	account = c.keys.rows[key].owner
	if c.accounts[account].id != e.Account {
		return 0, 0, fmt.Errorf("key %s does not belong to account %q", e.KeyID, clip.Text(e.Account))
	}
	return key, account, nil
}

// moment returns the time of stored microseconds. 0 is the zero time.
func moment(microseconds int64) time.Time {
	if microseconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(microseconds).UTC()
}

// micros is the inverse of moment. The start of 1970, which would become 0, is stored as
// the microsecond after it.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if at := t.UnixMicro(); at != 0 {
		return at
	}
	return 1
}

// checkSums checks what must be true after every entry: nothing is negative, all accounts
// sum to zero, and the holds are those of accounts and keys. The error wraps ErrCorrupt.
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
	// The sums over all accounts may wrap around: a thousand accounts with the maximum
	// exceed an int64. Equal sums stay equal.
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
