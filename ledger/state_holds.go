package ledger

import (
	"encoding/json"
	"fmt"
	"time"
)

// maxOpenHolds is the maximum number of calls that run at the same time.
const maxOpenHolds = 1 << 20

// hold sets credit aside for a call.
func (c *core) hold(request HoldRequest, now time.Time) (Hold, error) {
	keyIndex, err := c.payer(request.KeyID, now)
	if err != nil {
		return Hold{}, err
	}
	if len(c.holds) >= maxOpenHolds || c.counter >= maxCounter {
		return Hold{}, unavailable(fmt.Errorf("%d calls are running", len(c.holds)))
	}
	model, err := c.models.index(request.Model)
	if err != nil {
		return Hold{}, err
	}
	version, price := c.price(model)
	k := &c.keys.rows[keyIndex]
	h := openHold{
		key: keyIndex, account: k.owner, model: model, version: version, price: price,
		deadline: request.Deadline, requestID: request.RequestID, stream: request.Stream,
		checkpointAt: now,
	}
	amount, err := c.cover(&h, request.Worst)
	if err != nil {
		return Hold{}, err
	}
	c.reserve(&h, amount)
	c.counter++
	holdID := makeHoldID(c.epoch, c.counter)
	c.holds[holdID] = h
	return Hold{ID: holdID, Amount: amount}, nil
}

// quote returns what a hold would set aside, or why there would be none.
func (c *core) quote(request HoldRequest, now time.Time) (Micro, error) {
	keyIndex, err := c.payer(request.KeyID, now)
	if err != nil {
		return 0, err
	}
	_, price := c.price(c.models.number[request.Model])
	return c.cover(&openHold{key: keyIndex, account: c.keys.rows[keyIndex].owner, price: price}, request.Worst)
}

// payer finds the key of a call, if calls may run with it.
func (c *core) payer(keyID string, now time.Time) (index uint32, err error) {
	id, _ := parseKeyID(keyID)
	index, ok := c.keys.byID[id]
	if !ok || !c.keys.rows[index].live(now) {
		return 0, ErrUnknownKey
	}
	if c.keys.rows[index].flags&keyPaused != 0 {
		return 0, ErrPaused
	}
	if c.accounts[c.keys.rows[index].owner].frozen {
		return 0, ErrFrozen
	}
	return index, nil
}

// extend raises a hold so that it covers worst. It never lowers one.
func (c *core) extend(id HoldID, worst Quantity) (Hold, error) {
	h, err := c.openHold(id)
	if err != nil {
		return Hold{}, err
	}
	amount, err := c.cover(&h, worst)
	if err != nil {
		return Hold{}, err
	}
	if amount > h.amount {
		c.reserve(&h, amount)
		c.holds[id] = h
	}
	return Hold{ID: id, Amount: h.amount}, nil
}

// reserve raises a hold to an amount.
func (c *core) reserve(h *openHold, amount Micro) {
	c.accounts[h.account].held += amount - h.amount
	c.keys.rows[h.key].held += amount - h.amount
	h.amount = amount
}

// cover returns what the worst case costs, or a *CreditError if the account or the budget
// does not have that much.
func (c *core) cover(h *openHold, worst Quantity) (Micro, error) {
	worst.CachedTokens = 0 // it is not known yet what is cached
	amount, exact := h.price.Cost(worst)
	a, k := &c.accounts[h.account], &c.keys.rows[h.key]
	if amount <= h.amount && exact {
		return amount, nil
	}
	if available := a.available() + h.amount; amount > available || !exact {
		return 0, &CreditError{
			Needed: amount, Available: available, Held: a.held - h.amount,
			Never: amount > a.funds() || !exact, Limit: a.funds(),
		}
	}
	if k.flags&keyHasBudget != 0 {
		if left := k.budget - k.spent - k.held + h.amount; amount > left {
			return 0, &CreditError{
				Budget: true, Needed: amount, Available: max(left, 0), Held: k.held - h.amount,
				Never: amount > k.budget-k.spent, Limit: k.budget, Spent: k.spent,
			}
		}
	}
	return amount, nil
}

// openHold returns a hold, or ErrResolved or ErrUnknownHold.
func (c *core) openHold(id HoldID) (openHold, error) {
	h, ok := c.holds[id]
	if ok {
		return h, nil
	}
	if id.Epoch() > c.epoch || (id.Epoch() == c.epoch && id.Counter() > c.counter) || id.Counter() == 0 {
		return h, fmt.Errorf("%w %s", ErrUnknownHold, id)
	}
	return h, ErrResolved
}

// draft returns an entry about a hold, without amount, quantity and outcome.
func (c *core) draft(kind Kind, id HoldID, h *openHold) Entry {
	key := &c.keys.rows[h.key]
	return Entry{
		Kind: kind, Hold: id, Account: c.accounts[h.account].id, KeyID: string(key.id[:]),
		Model: c.models.text[h.model], RequestID: h.requestID, PriceVersion: h.version,
		Balance: c.accounts[h.account].funds(),
	}
}

// settlement returns the entry that charges a call, and the part of the price that hold,
// balance and budget do not cover.
func (c *core) settlement(id HoldID, h *openHold, s Settlement) (e Entry, writeOff Micro) {
	cost, _ := h.price.Cost(s.Quantity)
	most := h.amount
	if cost > most {
		extra := c.accounts[h.account].available()
		if k := &c.keys.rows[h.key]; k.flags&keyHasBudget != 0 {
			extra = min(extra, max(k.budget-k.spent-k.held, 0))
		}
		most += extra
	}
	e = c.draft(KindSettle, id, h)
	e.Amount = min(cost, most)
	e.Balance -= e.Amount
	e.Quantity, e.Usage, e.Outcome = s.Quantity, s.Usage, s.Outcome
	return e, cost - e.Amount
}

// drop gives a hold back without an entry: its call never ran.
func (c *core) drop(id HoldID, h *openHold) {
	c.accounts[h.account].held -= h.amount
	c.keys.rows[h.key].held -= h.amount
	delete(c.holds, id)
}

// price returns the price of a model and its version.
func (c *core) price(model uint32) (int64, Price) {
	version, ok := c.priceOf[model]
	if !ok {
		version = c.priceOf[0]
	}
	if version == 0 {
		return 0, defaultPrice
	}
	return version, c.prices[version-1].price
}

func (c *core) applyPrice(e *Entry) error {
	var price Price
	if err := json.Unmarshal(e.Detail, &price); err != nil {
		return fmt.Errorf("detail: %w", err)
	}
	if err := price.validate(); err != nil {
		return err
	}
	if e.PriceVersion != int64(len(c.prices))+1 {
		return fmt.Errorf("price version %d follows version %d", e.PriceVersion, len(c.prices))
	}
	model, err := c.models.index(e.Model)
	if err != nil {
		return err
	}
	c.prices = append(c.prices, pricedModel{model: model, price: price})
	c.priceOf[model] = e.PriceVersion
	return nil
}

func (c *core) applyAccount(e *Entry) error {
	var detail accountDetail
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		return fmt.Errorf("detail: %w", err)
	}
	if e.Account == "" {
		return fmt.Errorf("account without an id")
	}
	index, exists := c.owners[e.Account]
	if !exists {
		index = uint32(len(c.accounts))
	}
	if err := c.remember(detail.Request, e.Sequence, index); err != nil {
		return err
	}
	if !exists {
		c.owners[e.Account] = index
		c.accounts = append(c.accounts, account{id: e.Account, created: e.At.UnixMicro()})
	}
	c.accounts[index].name, c.accounts[index].frozen = detail.Name, detail.Frozen
	return nil
}

// accountDetail is the detail of an account entry.
type accountDetail struct {
	Name    string         `json:"name,omitempty"`
	Frozen  bool           `json:"frozen,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Request *requestRecord `json:"request,omitempty"`
}

// checkpointDetail is the detail of a checkpoint entry.
type checkpointDetail struct {
	Held Micro `json:"held"`
}

func decodeCheckpoint(raw []byte) (detail checkpointDetail, err error) {
	if err = json.Unmarshal(raw, &detail); err != nil {
		err = fmt.Errorf("detail: %w", err)
	}
	return detail, err
}

// handOver returns the open holds.
func (c *core) handOver() []Running {
	calls := make([]Running, 0, len(c.holds))
	for id, h := range c.holds {
		calls = append(calls, Running{
			Hold: id, KeyID: string(c.keys.rows[h.key].id[:]), Model: c.models.text[h.model], RequestID: h.requestID,
			PriceVersion: h.version, Amount: h.amount, Deadline: h.deadline.Round(0), Stream: h.stream,
		})
	}
	return calls
}

// takeOver opens the holds of calls that another process runs.
func (c *core) takeOver(calls []Running, now time.Time) {
	for i := range calls {
		call := &calls[i]
		id, _ := parseKeyID(call.KeyID)
		key, known := c.keys.byID[id]
		if !known || !c.recorded(call.Hold) || call.PriceVersion < 0 || call.PriceVersion > int64(len(c.prices)) {
			continue
		}
		h := openHold{
			key: key, account: c.keys.rows[key].owner, model: c.models.number[call.Model],
			version: call.PriceVersion, price: defaultPrice, deadline: call.Deadline,
			requestID: call.RequestID, stream: call.Stream, checkpointAt: now,
			checkpointed: c.open[call.Hold].entry.Amount,
		}
		if h.version > 0 {
			h.price = c.prices[h.version-1].price
		}
		if call.Amount < 0 || call.Amount > c.accounts[h.account].available() {
			continue
		}
		c.reserve(&h, call.Amount)
		c.holds[call.Hold] = h
	}
}
