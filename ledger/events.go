package ledger

// EventKind says what happened.
type EventKind uint8

const (
	// EventWriteOff is a part of a price that neither hold nor balance nor budget
	// covered.
	EventWriteOff EventKind = iota + 1
	// EventBudget is a key whose spending passed a share of its budget.
	EventBudget
	// EventBalance is an account whose available credit fell below an amount.
	EventBalance
	// EventFailed is a write that failed: from now on nothing is admitted.
	EventFailed
)

// String returns write_off, budget, balance or failed.
func (k EventKind) String() string {
	return [...]string{"", "write_off", "budget", "balance", "failed"}[min(k, EventFailed)]
}

// Event is something that an operator may want to hear of.
type Event struct {
	Kind      EventKind
	Account   string
	KeyID     string
	Amount    Micro // written off, spent of the budget, or available on the account
	Threshold int64 // percent of the budget, or micro-credits on the account
	Err       error // of EventFailed
}

// Thresholds say when EventBudget and EventBalance happen: when a charge crosses
// one of them.
type Thresholds struct {
	BudgetPercent []int   // share of a key's budget that is spent
	BalanceBelow  []Micro // what is available on an account
}

// crossings returns the events that a charge causes.
func (t Thresholds) crossings(k *keyRow, a *account, amount Micro) []Event {
	if amount <= 0 {
		return nil
	}
	var events []Event
	if k.flags&keyHasBudget != 0 && k.budget > 0 {
		for _, percent := range t.BudgetPercent {
			// budget <= 2^53 and percent is small: the product fits.
			at := k.budget/100*Micro(percent) + k.budget%100*Micro(percent)/100
			if k.spent >= at && k.spent-amount < at {
				events = append(events, Event{Kind: EventBudget, Account: a.id, KeyID: string(k.id[:]), Amount: k.spent, Threshold: int64(percent)})
			}
		}
	}
	for _, below := range t.BalanceBelow {
		if available := a.available(); available < below && available+amount >= below {
			events = append(events, Event{Kind: EventBalance, Account: a.id, Amount: available, Threshold: int64(below)})
		}
	}
	return events
}
