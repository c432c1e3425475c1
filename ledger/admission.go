package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Holds die with the process, and a call has an entry only when it has ended. So that a
// crash does not make the calls that run then disappear, those that have run for a moment
// are recorded: the next commit, whoever wants it, has one more entry, which names all of
// them. At the next start each of them is resolved as interrupted. A call that ends sooner
// costs nothing.

const (
	// recordAfter is how long a call must have run to be recorded. If no commit comes
	// for as long, there is one for the calls alone.
	recordAfter = 100 * time.Millisecond
	// recordsPerEntry is the maximum number of calls that one entry names.
	recordsPerEntry = 1000
)

// admission is what the log knows of a call that runs and has no checkpoint.
type admission struct {
	key, model uint32
	requestID  string
}

// admissionDetail is the detail of an admission entry: a list of calls, in columns.
type admissionDetail struct {
	Holds     []uint64 `json:"holds,omitempty"` // their counters
	Keys      []string `json:"keys,omitempty"`
	Models    []string `json:"models,omitempty"`
	Requests  []string `json:"requests,omitempty"`
	Withdrawn []uint64 `json:"withdrawn,omitempty"` // calls that were recorded, but never ran
}

func decodeAdmission(raw []byte) (detail admissionDetail, err error) {
	if err = json.Unmarshal(raw, &detail); err != nil {
		return detail, fmt.Errorf("detail: %w", err)
	}
	if n := len(detail.Holds); len(detail.Keys) != n || len(detail.Models) != n || len(detail.Requests) != n {
		return detail, errors.New("detail: lists of different lengths")
	}
	return detail, nil
}

// running returns the detail of the calls that have run for at least a time and are
// neither recorded nor ended, and how far it looked. Calls begin in the order of their
// counters, so that each is looked at once.
func (c *core) running(now time.Time, least time.Duration, recorded uint64) (detail admissionDetail, through uint64) {
	for counter := recorded + 1; counter <= c.counter && len(detail.Holds) < recordsPerEntry; counter++ {
		id := makeHoldID(c.epoch, counter)
		h, open := c.holds[id]
		_, known := c.open[id]
		if open && !known {
			if least > 0 && now.Sub(h.checkpointAt) < least {
				break
			}
			key := &c.keys.rows[h.key]
			detail.Holds = append(detail.Holds, counter)
			detail.Keys = append(detail.Keys, string(key.id[:]))
			detail.Models = append(detail.Models, c.models.text[h.model])
			detail.Requests = append(detail.Requests, h.requestID)
		}
		recorded = counter
	}
	return detail, recorded
}

func (c *core) applyAdmission(e *Entry) error {
	detail, err := decodeAdmission(e.Detail)
	if err != nil {
		return err
	}
	// Calls that were handed over may be withdrawn in a later epoch.
	if e.Hold.Epoch() > c.epoch || e.Hold.Epoch() != c.epoch && len(detail.Holds) > 0 {
		return fmt.Errorf("calls are of epoch %d, not %d", e.Hold.Epoch(), c.epoch)
	}
	calls := make([]admission, len(detail.Holds))
	for i, counter := range detail.Holds {
		id, _ := parseKeyID(detail.Keys[i])
		key, ok := c.keys.byID[id]
		if !ok {
			return fmt.Errorf("key %q is unknown", detail.Keys[i])
		}
		model, err := c.models.index(detail.Models[i])
		if err != nil {
			return err
		}
		if counter == 0 || counter > maxCounter || c.recorded(makeHoldID(c.epoch, counter)) {
			return fmt.Errorf("hold %d is out of range, or recorded before", counter)
		}
		calls[i] = admission{key: key, model: model, requestID: detail.Requests[i]}
	}
	for _, counter := range detail.Withdrawn {
		if !c.recorded(makeHoldID(e.Hold.Epoch(), counter)) {
			return fmt.Errorf("hold %d is withdrawn, but not recorded", counter)
		}
	}
	for i := range calls {
		c.admitted[makeHoldID(c.epoch, detail.Holds[i])] = calls[i]
	}
	for _, counter := range detail.Withdrawn {
		c.forget(makeHoldID(e.Hold.Epoch(), counter))
	}
	return nil
}

// recorded reports whether the log knows that a call runs.
func (c *core) recorded(id HoldID) bool {
	_, admitted := c.admitted[id]
	_, open := c.open[id]
	return admitted || open
}

// forget removes a call from those of which the log knows that they run.
func (c *core) forget(id HoldID) {
	delete(c.admitted, id)
	delete(c.open, id)
}

// interrupted returns the entry that resolves a call which a crash ended.
func (c *core) interrupted(id HoldID, policy CrashPolicy) Entry {
	e := Entry{Kind: KindVoid, Hold: id}
	if last, open := c.open[id]; open {
		e = last.entry
		e.Kind = KindSettle
		switch policy {
		case CrashRelease:
			e.Kind, e.Amount = KindVoid, 0
		case CrashFull:
			e.Amount = last.held
		}
	} else {
		call := c.admitted[id]
		key := &c.keys.rows[call.key]
		e.KeyID, e.Account = string(key.id[:]), c.accounts[key.owner].id
		e.Model, e.RequestID = c.models.text[call.model], call.requestID
	}
	e.Outcome, e.Usage = OutcomeInterrupted, UsageCounted
	e.Balance = c.accounts[c.owners[e.Account]].funds() - e.Amount
	return e
}

// withdraw ends a recorded call that never ran. The caller holds the lock.
func (l *Ledger) withdraw(id HoldID, h *openHold) error {
	e := Entry{Kind: KindAdmission, Hold: makeHoldID(id.Epoch(), 0)}
	e.Detail, _ = json.Marshal(admissionDetail{Withdrawn: []uint64{id.Counter()}})
	l.core.drop(id, h)
	return l.append(&e)
}

// recordCalls appends entries for the calls that have run for at least a time. The caller
// holds the lock.
func (l *Ledger) recordCalls(least time.Duration) {
	if l.writable() != nil || l.recordedThrough >= l.core.counter {
		return
	}
	for now := l.now(); ; {
		detail, through := l.core.running(now, least, l.recordedThrough)
		l.recordedThrough = through
		if len(detail.Holds) == 0 {
			return
		}
		e := Entry{Kind: KindAdmission, Hold: makeHoldID(l.core.epoch, 0)}
		e.Detail, _ = json.Marshal(detail)
		if err := l.append(&e); err != nil {
			l.failed = err
			return
		}
	}
}

// recordSoon has the janitor look for calls to record, in a moment. The caller holds the
// lock.
func (l *Ledger) recordSoon() {
	if !l.recording {
		l.recording = true
		signal(l.admitted)
	}
}

// recordLate records calls for which no commit came. It returns false if there are no
// calls left to record.
func (l *Ledger) recordLate() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.batch.entries) == 0 { // otherwise the commit that comes has them
		l.recordCalls(l.recordAfter)
	}
	l.recording = l.recordedThrough < l.core.counter && l.writable() == nil
	return l.recording
}
