package ledger

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/penstockhq/penstock/internal/clip"
)

// maxModels is the maximum number of model names in one ledger. Names are kept forever,
// and callers choose them where a key has no list of models.
const maxModels = 1 << 16

// names maps texts to small numbers. Number 0 is the empty text.
type names struct {
	text   []string
	number map[string]uint32
}

func newNames() names {
	return names{text: []string{""}, number: map[string]uint32{"": 0}}
}

// index returns the number of a text and gives it a new one if it has none. The error
// wraps ErrInvalid.
func (n *names) index(text string) (uint32, error) {
	if number, ok := n.number[text]; ok {
		return number, nil
	}
	if len(n.text) >= maxModels {
		return 0, &InvalidError{
			Field: "model", Reason: fmt.Sprintf("%q would be one of more than %d different models", clip.Text(text), maxModels),
		}
	}
	number := uint32(len(n.text))
	n.text = append(n.text, text)
	n.number[text] = number
	return number, nil
}

// policyTable keeps each different policy once and counts the keys that have it: most
// installations have many keys and few policies.
type policyTable struct {
	list   []sharedPolicy
	number map[string]uint32
	free   []uint32
}

type sharedPolicy struct {
	policy keyPolicy
	text   string // canonical form, the key of the map
	users  int
}

func newPolicyTable() policyTable { return policyTable{number: map[string]uint32{}} }

// acquire returns the number of a policy and counts one more key that has it.
func (t *policyTable) acquire(policy keyPolicy) uint32 {
	encoded, err := json.Marshal(policy)
	if err != nil {
		// Every field is a text, a number or a network: there is nothing to fail.
		panic("ledger: encode policy: " + err.Error())
	}
	text := string(encoded)
	if number, ok := t.number[text]; ok {
		t.list[number].users++
		return number
	}
	entry := sharedPolicy{policy: policy, text: text, users: 1}
	var number uint32
	if last := len(t.free) - 1; last >= 0 {
		number, t.free = t.free[last], t.free[:last]
		t.list[number] = entry
	} else {
		number = uint32(len(t.list))
		t.list = append(t.list, entry)
	}
	t.number[text] = number
	return number
}

// release counts one key less and forgets a policy that no key has.
func (t *policyTable) release(number uint32) {
	entry := &t.list[number]
	if entry.users--; entry.users == 0 {
		delete(t.number, entry.text)
		*entry = sharedPolicy{}
		t.free = append(t.free, number)
	}
}

// arena keeps short texts in large chunks. Texts are never removed: the memory of a text
// that was replaced is free again after the next start.
type arena struct{ chunks [][]byte }

// The first chunk is small and the following ones grow: most ledgers are small.
const (
	arenaFirstChunk = 1 << 11
	arenaChunk      = 1 << 18
)

// add stores texts one after the other and returns where.
func (a *arena) add(texts ...string) uint64 {
	length := 0
	for _, text := range texts {
		length += len(text)
	}
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last])+length > cap(a.chunks[last]) {
		size := arenaFirstChunk
		if last >= 0 {
			size = min(2*cap(a.chunks[last]), arenaChunk)
		}
		a.chunks = append(a.chunks, make([]byte, 0, max(size, length)))
		last++
	}
	at := len(a.chunks[last])
	for _, text := range texts {
		a.chunks[last] = append(a.chunks[last], text...)
	}
	return uint64(last)<<32 | uint64(at)
}

// get returns the text of this length at a place.
func (a *arena) get(place uint64, length int) string {
	if length == 0 || len(a.chunks) == 0 {
		return ""
	}
	chunk := a.chunks[place>>32]
	at := int(uint32(place))
	return string(chunk[at : at+length])
}

// noUsage ends a chain of usage rows.
const noUsage = 0

// usageRow sums up what one key used of one model on one UTC day.
type usageRow struct {
	key, model            uint32
	day                   int32
	next                  uint32 // number of the key's next row
	requests              int64
	input, cached, output int64
	duration              int64 // microseconds
	charged, writeOff     Micro
}

// usageTable holds the rows of the days that are not closed yet. The rows of a key
// form a chain that starts at the key. Row numbers count from 1.
type usageTable struct{ rows []usageRow }

// row returns the row of a key, model and day, and makes it if there is none. It moves
// the row to the front of the chain, because the next call most likely needs it again.
func (t *usageTable) row(k *keyRow, key, model uint32, day int32) *usageRow {
	link := &k.usage
	for number := *link; number != noUsage; number = *link {
		row := &t.rows[number-1]
		if row.model == model && row.day == day {
			if number != k.usage {
				// A row that is in front already would become its own successor.
				*link, row.next = row.next, k.usage
				k.usage = number
			}
			return row
		}
		link = &row.next
	}
	t.rows = append(t.rows, usageRow{key: key, model: model, day: day, next: k.usage})
	k.usage = uint32(len(t.rows))
	return &t.rows[k.usage-1]
}

// dropBefore forgets the rows of closed days, which live on in the store.
func (t *usageTable) dropBefore(day int32, keys []keyRow) {
	kept := t.rows[:0:0]
	for _, row := range t.rows {
		if row.day >= day {
			kept = append(kept, row)
		}
	}
	if len(kept) == len(t.rows) {
		return
	}
	t.rows = kept
	t.chain(keys)
}

// chain links all rows to their keys anew.
func (t *usageTable) chain(keys []keyRow) {
	for i := range keys {
		keys[i].usage = noUsage
	}
	for i := range t.rows {
		row := &t.rows[i]
		row.next = keys[row.key].usage
		keys[row.key].usage = uint32(i + 1)
	}
}

// requestRecord is a request in the detail of an entry. Both are hashes: the key and
// the body may hold what the log should not.
type requestRecord struct {
	Mark    string `json:"mark"`
	Request string `json:"request"`
}

// request remembers what came of a request.
type request struct {
	mark, request [16]byte
	sequence      int64  // of the entry
	index         uint32 // of the key or account that the entry is about
}

// remember keeps the request of an entry, so that it is not carried out again.
func (c *core) remember(record *requestRecord, sequence int64, index uint32) error {
	if record == nil {
		return nil
	}
	kept := request{sequence: sequence, index: index}
	for target, text := range map[*[16]byte]string{&kept.mark: record.Mark, &kept.request: record.Request} {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != len(target) {
			return fmt.Errorf("request %q is not a hash", clip.Text(text))
		}
		copy(target[:], raw)
	}
	if _, used := c.requestOf[kept.mark]; used {
		return errors.New("idempotency key was used before")
	}
	c.requestOf[kept.mark] = uint32(len(c.requests))
	c.requests = append(c.requests, kept)
	return nil
}

// earlier returns what came of the same request before. ok is false if there was none.
func (c *core) earlier(i *Idempotency) (before request, ok bool, err error) {
	if i.Key == "" {
		return request{}, false, nil
	}
	number, ok := c.requestOf[i.mark()]
	if !ok {
		return request{}, false, nil
	}
	if before = c.requests[number]; before.request != [16]byte(i.Request[:16]) {
		return request{}, false, ErrIdempotencyReused
	}
	return before, true, nil
}
