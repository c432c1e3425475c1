package ledger

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
)

// Kind says what an entry records.
type Kind uint8

// The kinds of entries.
const (
	KindEpoch      Kind = iota + 1 // a process opened the ledger
	KindAccount                    // an account was made, renamed, frozen or unfrozen
	KindKey                        // a key was made, changed, rotated or revoked
	KindPrice                      // a model got a price
	KindTopUp                      // credit was added to an account
	KindAdjust                     // credit was added to or taken from an account
	KindSettle                     // a call was charged
	KindVoid                       // a call ran and was not charged
	KindWriteOff                   // a part of a call's price that could not be charged
	KindCheckpoint                 // what a running stream has consumed so far
	KindAdmission                  // calls that run, in case a crash ends them
)

var kindNames = []string{"", "epoch", "account", "key", "price", "topup", "adjust", "settle", "void", "writeoff", "checkpoint", "admission"}

// String returns the kind's name in the log and in JSON, for example settle.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return ""
	}
	return kindNames[k]
}

// KindNames returns the names of all kinds.
func KindNames() []string { return slices.Clone(kindNames[1:]) }

// ParseKind is the inverse of Kind.String.
func ParseKind(name string) (Kind, error) {
	if at := slices.Index(kindNames, name); at > 0 {
		return Kind(at), nil
	}
	return 0, fmt.Errorf("%w: unknown kind of entry %q", ErrCorrupt, clip.Text(name))
}

// ParseUsageSource is the inverse of UsageSource.String. An unknown name is
// UsageReported.
func ParseUsageSource(name string) UsageSource {
	switch name {
	case "counted":
		return UsageCounted
	case "estimated":
		return UsageEstimated
	default:
		return UsageReported
	}
}

// ParseOutcome is the inverse of Outcome.String. An unknown name is OutcomeOK.
func ParseOutcome(name string) Outcome {
	return Outcome(max(slices.Index(outcomeNames[:], name), 0))
}

// Entry is one record of the log. The log is append-only and the only source of truth:
// all balances are computed from it.
type Entry struct {
	Sequence  int64     // 1, 2, 3, ... without gaps
	At        time.Time // UTC, whole microseconds, never earlier than the entry before
	Kind      Kind
	Account   string
	KeyID     string
	Model     string
	RequestID string
	// Reference is the idempotency key of a top-up or adjustment, and for a key or
	// account what was done to it: created, updated, paused, resumed, rotated or
	// revoked; created, renamed, frozen or unfrozen.
	Reference string
	Hold      HoldID
	Quantity  Quantity // of a call
	// Amount is what was charged (settle), added (topup, adjust) or lost (writeoff). In a
	// checkpoint it is the charge so far.
	Amount Micro
	// Balance is the account's balance after the entry: the sum of what is available
	// and what is held.
	Balance      Micro
	PriceVersion int64
	Usage        UsageSource
	Outcome      Outcome
	// Detail holds as JSON what else belongs to a key, price, account, checkpoint or
	// admission. It
	// can contain hashes of secrets and is therefore not part of the entry's own JSON.
	Detail []byte
}

// isCall reports whether the entry resolves a hold.
func (e *Entry) isCall() bool { return e.Kind == KindSettle || e.Kind == KindVoid }

// jsonEntry is an Entry on the wire.
type jsonEntry struct {
	Sequence     int64  `json:"seq"`
	At           string `json:"at"`
	Kind         string `json:"kind"`
	Account      string `json:"account,omitempty"`
	KeyID        string `json:"key_id,omitempty"`
	Model        string `json:"model,omitempty"`
	RequestID    string `json:"request_id,omitempty"`
	Reference    string `json:"reference,omitempty"`
	Hold         string `json:"hold,omitempty"`
	Calls        int    `json:"calls,omitempty"`
	Input        *int64 `json:"input_tokens,omitempty"`
	Output       *int64 `json:"output_tokens,omitempty"`
	Cached       *int64 `json:"cached_tokens,omitempty"`
	Duration     *int64 `json:"duration_us,omitempty"`
	Charged      *Micro `json:"charged_micro,omitempty"`
	Amount       *Micro `json:"amount_micro,omitempty"`
	Usage        string `json:"usage,omitempty"`
	Outcome      string `json:"outcome,omitempty"`
	PriceVersion int64  `json:"price_version,omitempty"`
	Balance      *Micro `json:"balance_micro,omitempty"`
	Reason       string `json:"reason,omitempty"`
}

// MarshalJSON returns the entry as one line of the export, without its Detail.
func (e Entry) MarshalJSON() ([]byte, error) {
	out := jsonEntry{
		Sequence: e.Sequence, At: e.At.UTC().Format(time.RFC3339Nano), Kind: e.Kind.String(),
		Account: e.Account, KeyID: e.KeyID, Model: e.Model, RequestID: e.RequestID,
		Reference: e.Reference, PriceVersion: e.PriceVersion,
	}
	if e.Hold != 0 {
		out.Hold = e.Hold.String()
	}
	switch e.Kind {
	case KindSettle, KindVoid, KindCheckpoint:
		duration := e.Quantity.Duration.Microseconds()
		out.Input, out.Output, out.Cached = &e.Quantity.InputTokens, &e.Quantity.OutputTokens, &e.Quantity.CachedTokens
		out.Duration, out.Charged = &duration, &e.Amount
		out.Usage, out.Outcome = e.Usage.String(), e.Outcome.String()
	case KindTopUp, KindAdjust, KindWriteOff:
		out.Amount = &e.Amount
	}
	if e.Kind == KindAdmission {
		detail, _ := decodeAdmission(e.Detail)
		out.Calls = len(detail.Holds)
	}
	out.Reason = e.reason()
	if e.Account != "" && e.Kind != KindKey {
		out.Balance = &e.Balance
	}
	return json.Marshal(out)
}

// reason returns why an account was corrected, frozen or unfrozen.
func (e *Entry) reason() string {
	var detail struct{ Reason string }
	if (e.Kind == KindAdjust || e.Kind == KindAccount) && json.Unmarshal(e.Detail, &detail) == nil {
		return detail.Reason
	}
	return ""
}

// The counter takes the lower 40 bits of a HoldID.
const (
	counterBits = 40
	maxEpoch    = 1<<24 - 1
	maxCounter  = 1<<counterBits - 1
)

// makeHoldID returns the id of a hold.
func makeHoldID(epoch, counter uint64) HoldID { return HoldID(epoch<<counterBits | counter) }

// Epoch returns the number of the process's start in which the hold was made, from 1.
func (id HoldID) Epoch() uint64 { return uint64(id) >> counterBits }

// Counter returns the number of the hold within its epoch.
func (id HoldID) Counter() uint64 { return uint64(id) & maxCounter }

// String returns "epoch|counter".
func (id HoldID) String() string { return fmt.Sprintf("%d|%d", id.Epoch(), id.Counter()) }

// encoder writes a snapshot: numbers as varints, texts with their length before
// them. The first error sticks.
type encoder struct {
	w      *bufio.Writer
	models map[string]uint64
	err    error
}

func newEncoder(w io.Writer) *encoder {
	return &encoder{w: bufio.NewWriterSize(w, 1<<14), models: map[string]uint64{}}
}

func (e *encoder) raw(data []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(data)
	}
}

func (e *encoder) unsigned(value uint64) {
	e.raw(binary.AppendUvarint(e.w.AvailableBuffer(), value))
}

func (e *encoder) number(value int64) {
	e.raw(binary.AppendVarint(e.w.AvailableBuffer(), value))
}

func (e *encoder) text(text string) {
	e.unsigned(uint64(len(text)))
	if e.err == nil {
		_, e.err = e.w.WriteString(text)
	}
}

// model writes a model's name the first time and its number after that. Numbers
// follow the order of writing, not that of the running process, so that the same
// state is always the same bytes.
func (e *encoder) model(name string) {
	if number, ok := e.models[name]; ok {
		e.unsigned(number)
		return
	}
	e.unsigned(0)
	e.text(name)
	e.models[name] = uint64(len(e.models) + 1)
}

func (e *encoder) finish() error {
	if e.err == nil {
		e.err = e.w.Flush()
	}
	return e.err
}

// decoder reads what an encoder wrote. The first error sticks; all values are zero
// after it.
type decoder struct {
	r      *bufio.Reader
	models []string
	err    error
}

func newDecoder(r io.Reader) *decoder { return &decoder{r: bufio.NewReaderSize(r, 1<<14)} }

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
}

func (d *decoder) unsigned() uint64 {
	if d.err != nil {
		return 0
	}
	value, err := binary.ReadUvarint(d.r)
	if err != nil {
		d.fail(err)
	}
	return value
}

func (d *decoder) number() int64 {
	if d.err != nil {
		return 0
	}
	value, err := binary.ReadVarint(d.r)
	if err != nil {
		d.fail(err)
	}
	return value
}

// count reads how many items follow. A damaged count must not make us allocate
// without bound, so callers grow their slices by appending.
func (d *decoder) count() int {
	const most = 1 << 31
	value := d.unsigned()
	if value > most {
		d.fail(fmt.Errorf("%d items", value))
		return 0
	}
	return int(value)
}

func (d *decoder) raw(target []byte) {
	if d.err != nil {
		return
	}
	if _, err := io.ReadFull(d.r, target); err != nil {
		d.fail(err)
	}
}

func (d *decoder) text() string {
	const longest = 1 << 24
	length := d.unsigned()
	if length > longest {
		d.fail(fmt.Errorf("text of %d bytes", length))
	}
	if d.err != nil {
		return ""
	}
	data := make([]byte, length)
	d.raw(data)
	return string(data)
}

func (d *decoder) model() string {
	number := d.unsigned()
	if number == 0 {
		name := d.text()
		d.models = append(d.models, name)
		return name
	}
	if number > uint64(len(d.models)) {
		d.fail(fmt.Errorf("model %d of %d", number, len(d.models)))
		return ""
	}
	return d.models[number-1]
}
