package ledger

// EventKind says what happened.
type EventKind uint8

const (
	// EventWriteOff is a part of a price that neither hold nor balance nor budget
	// covered.
	EventWriteOff EventKind = iota + 1
	// EventFailed is a write that failed: from now on nothing is admitted.
	EventFailed
)

// String returns write_off or failed.
func (k EventKind) String() string {
	return [...]string{"", "write_off", "failed"}[min(k, EventFailed)]
}

// Event is something that an operator may want to hear of.
type Event struct {
	Kind    EventKind
	Account string
	KeyID   string
	Amount  Micro // written off
	Err     error // of EventFailed
}
