package ledger

import "encoding/json"

// policyTable keeps each different policy once and counts its users, because
// most keys of an installation have one of very few.
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

// acquire returns the number of a policy and counts one more user.
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

// release counts one user less and forgets a policy that has none.
func (t *policyTable) release(number uint32) {
	entry := &t.list[number]
	if entry.users--; entry.users == 0 {
		delete(t.number, entry.text)
		*entry = sharedPolicy{}
		t.free = append(t.free, number)
	}
}

// arena keeps short texts in large chunks. Texts are never taken out; a text that
// is replaced lies idle until the next start.
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
