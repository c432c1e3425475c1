package ledger

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
	"github.com/penstockhq/penstock/limits"
)

// Flags of a key row.
const (
	keyAllOwners = 1 << iota
	keyHasBudget
	keyForeign // imported by hash: its text does not contain its id
	keyPaused
)

// keyRow is one key without pointers, so that the garbage collector does not have to
// follow those of a million keys. Values of variable length are in the table's arena and
// in shared policies.
type keyRow struct {
	hash                      [32]byte // SHA-256 of the text
	id                        keyID
	role                      Role
	flags                     uint8
	hintLength                uint8
	nameLength                uint16
	owner                     uint32
	policy                    uint32
	version                   uint32
	usage                     uint32 // first usage row
	text                      uint64 // where id, hint and name stand in the arena
	budget, held, spent       Micro
	calls                     int64 // that ran
	lastUsed                  int64 // when the last of them ended; 0: never
	created, expires, revoked int64 // microseconds; 0: never
}

// keyExtra holds values that few keys have.
type keyExtra struct {
	previous        []oldSecret // that a rotation left valid, the newest first
	previousLimits  []limits.Row
	hasPrevious     bool
	limitsChangedAt int64
	metadata        map[string]string
}

// oldSecret is a secret that was replaced and stays valid for a while.
type oldSecret struct {
	hash  [32]byte
	until int64
}

// keyPolicy is what many keys share. It is never changed, only replaced.
type keyPolicy struct {
	Models      []string       `json:"models,omitempty"`
	Limits      []limits.Row   `json:"limits,omitempty"`
	Permissions []string       `json:"scopes,omitempty"` // the name that the log has for them
	CIDRs       []netip.Prefix `json:"cidrs,omitempty"`
}

// keyTable finds keys by id and by hash.
type keyTable struct {
	rows     []keyRow
	byID     map[keyID]uint32
	byHash   map[[16]byte]uint32 // imported keys only, by the head of their hash
	hints    map[uint64]struct{} // of owner and hint; may hold more than there are
	extras   map[uint32]keyExtra
	policies policyTable
	arena    arena
	seed     maphash.Seed
}

func newKeyTable() keyTable {
	return keyTable{
		byID: map[keyID]uint32{}, byHash: map[[16]byte]uint32{}, hints: map[uint64]struct{}{},
		extras: map[uint32]keyExtra{}, policies: newPolicyTable(), seed: maphash.MakeSeed(),
	}
}

// keyRecord is the detail of a key entry. It holds the whole key, so that only the last
// entry of a key matters.
type keyRecord struct {
	Name            string            `json:"name"`
	Hint            string            `json:"hint,omitempty"`
	Role            Role              `json:"role"`
	AllOwners       bool              `json:"all_owners,omitempty"`
	Foreign         bool              `json:"foreign,omitempty"`
	Policy          keyPolicy         `json:"policy"`
	PreviousLimits  *[]limits.Row     `json:"previous_limits,omitempty"`
	LimitsChangedAt int64             `json:"limits_changed_at,omitempty"`
	Budget          *Micro            `json:"budget,omitempty"`
	CreatedAt       int64             `json:"created_at"`
	ExpiresAt       int64             `json:"expires_at,omitempty"`
	RevokedAt       int64             `json:"revoked_at,omitempty"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	Version         int64             `json:"version"`
	Paused          bool              `json:"paused,omitempty"`
	Hash            string            `json:"sha256"`
	PreviousHash    string            `json:"previous_sha256,omitempty"`
	PreviousUntil   int64             `json:"previous_until,omitempty"`
	OlderSecrets    []secretRecord    `json:"older_secrets,omitempty"` // than the previous one, newest first
	Request         *requestRecord    `json:"request,omitempty"`       // that made this version
}

// secretRecord is an old secret in a keyRecord.
type secretRecord struct {
	Hash  string `json:"sha256"`
	Until int64  `json:"until"`
}

// previous returns the old secrets, newest first.
func (r *keyRecord) previous() []secretRecord {
	if r.PreviousUntil == 0 {
		return nil
	}
	return append([]secretRecord{{r.PreviousHash, r.PreviousUntil}}, r.OlderSecrets...)
}

// setPrevious is the inverse of previous. The newest one stands where the log had its
// only one when a key could have no more.
func (r *keyRecord) setPrevious(secrets []secretRecord) {
	r.PreviousHash, r.PreviousUntil, r.OlderSecrets = "", 0, nil
	if len(secrets) > 0 {
		r.PreviousHash, r.PreviousUntil, r.OlderSecrets = secrets[0].Hash, secrets[0].Until, secrets[1:]
	}
}

// applyKey puts a key into the state as its record says.
func (c *core) applyKey(e *Entry) error {
	var record keyRecord
	if err := json.Unmarshal(e.Detail, &record); err != nil {
		return fmt.Errorf("detail: %w", err)
	}
	id, ok := parseKeyID(e.KeyID)
	owner, known := c.owners[e.Account]
	if !ok || !known {
		return fmt.Errorf("key %q of account %q: malformed id or unknown account", clip.Text(e.KeyID), clip.Text(e.Account))
	}
	row := keyRow{
		id: id, owner: owner, role: record.Role, created: record.CreatedAt, expires: record.ExpiresAt,
		revoked: record.RevokedAt, version: uint32(record.Version),
	}
	extra := keyExtra{limitsChangedAt: record.LimitsChangedAt, metadata: record.Metadata}
	if err := decodeHash(record.Hash, &row.hash); err != nil {
		return err
	}
	for _, old := range record.previous() {
		secret := oldSecret{until: old.Until}
		if err := decodeHash(old.Hash, &secret.hash); err != nil {
			return err
		}
		extra.previous = append(extra.previous, secret)
	}
	if record.PreviousLimits != nil {
		extra.previousLimits, extra.hasPrevious = *record.PreviousLimits, true
	}
	if record.AllOwners {
		row.flags |= keyAllOwners
	}
	if record.Foreign {
		row.flags |= keyForeign
	}
	if record.Paused {
		row.flags |= keyPaused
	}
	if record.Budget != nil {
		row.flags |= keyHasBudget
		row.budget = *record.Budget
	}
	index, exists := c.keys.byID[id]
	if exists {
		if old := &c.keys.rows[index]; old.version+1 != row.version || old.owner != owner {
			return fmt.Errorf("version %d of key %s follows version %d", row.version, e.KeyID, old.version)
		}
	} else if row.version != 1 {
		return fmt.Errorf("key %s starts with version %d", e.KeyID, row.version)
	} else {
		index = uint32(len(c.keys.rows))
	}
	if err := c.remember(record.Request, e.Sequence, index); err != nil {
		return err
	}
	row.policy = c.keys.policies.acquire(record.Policy)
	c.keys.put(index, exists, row, extra, record.Hint, record.Name)
	return nil
}

// put replaces the row with an index, or adds a new one. The caller has acquired the
// row's policy.
func (t *keyTable) put(index uint32, exists bool, row keyRow, extra keyExtra, hint, name string) {
	if exists {
		old := &t.rows[index]
		row.held, row.spent, row.calls, row.lastUsed, row.usage = old.held, old.spent, old.calls, old.lastUsed, old.usage
		row.text, row.hintLength, row.nameLength = old.text, old.hintLength, old.nameLength
		t.policies.release(old.policy)
	} else {
		index = uint32(len(t.rows))
		t.rows = append(t.rows, keyRow{})
		t.byID[row.id] = index
	}
	if oldHint, oldName := t.text(&row); !exists || oldHint != hint || oldName != name {
		row.hintLength, row.nameLength = uint8(len(hint)), uint16(len(name))
		row.text = t.arena.add(string(row.id[:]), hint, name)
	}
	if row.flags&keyForeign != 0 {
		t.byHash[[16]byte(row.hash[:16])] = index
		for i := range extra.previous {
			// Rotation gives a foreign key a text of our own; the old one stays
			// findable by its hash.
			t.byHash[[16]byte(extra.previous[i].hash[:16])] = index
		}
	}
	if len(extra.previous) == 0 && !extra.hasPrevious && extra.limitsChangedAt == 0 && len(extra.metadata) == 0 {
		delete(t.extras, index)
	} else {
		t.extras[index] = extra
	}
	t.rows[index] = row
	if hint != "" {
		t.hints[t.hintMark(row.owner, hint)] = struct{}{}
	}
}

// reserve makes room for more rows that are to come, but not for many more than there
// are: their number may be damaged. Where it is right, the last room is exactly enough.
func (t *keyTable) reserve(more int) {
	const least = 1024
	if rows := len(t.rows); rows == cap(t.rows) {
		t.rows = append(make([]keyRow, 0, rows+min(more, max(rows, least))), t.rows...)
	}
}

// text returns the hint and the name of a row.
func (t *keyTable) text(row *keyRow) (hint, name string) {
	text := t.arena.get(row.text, keyIDLength+int(row.hintLength)+int(row.nameLength))
	if text == "" {
		return "", ""
	}
	return text[keyIDLength : keyIDLength+int(row.hintLength)], text[keyIDLength+int(row.hintLength):]
}

// keySnapshot returns the Key of a row. It allocates once, for the texts; slices and maps
// are shared and must not be changed.
func (c *core) keySnapshot(index uint32) Key {
	row := &c.keys.rows[index]
	text := c.keys.arena.get(row.text, keyIDLength+int(row.hintLength)+int(row.nameLength))
	nameAt := keyIDLength + int(row.hintLength)
	policy := c.keys.policies.list[row.policy].policy
	key := Key{
		ID: text[:keyIDLength], Hint: text[keyIDLength:nameAt], Name: text[nameAt:],
		Owner: c.accounts[row.owner].id, Role: row.role,
		AllOwners: row.flags&keyAllOwners != 0, HasBudget: row.flags&keyHasBudget != 0,
		Models: policy.Models, Limits: policy.Limits, Permissions: policy.Permissions, CIDRs: policy.CIDRs,
		Budget: row.budget, Held: row.held, Spent: row.spent, Calls: row.calls, Version: int64(row.version),
		CreatedAt: moment(row.created), ExpiresAt: moment(row.expires), RevokedAt: moment(row.revoked),
		Paused: row.flags&keyPaused != 0, OwnerFrozen: c.accounts[row.owner].frozen, LastUsedAt: moment(row.lastUsed),
	}
	if extra, ok := c.keys.extras[index]; ok {
		key.LimitsChange = limits.Change{Previous: extra.previousLimits, At: moment(extra.limitsChangedAt)}
		key.Metadata = extra.metadata
	}
	return key
}

// keyRecord is the inverse of applyKey: it returns the whole key as an entry records it.
func (c *core) keyRecord(index uint32) keyRecord {
	row := &c.keys.rows[index]
	hint, name := c.keys.text(row)
	record := keyRecord{
		Name: name, Hint: hint, Role: row.role, AllOwners: row.flags&keyAllOwners != 0, Foreign: row.flags&keyForeign != 0,
		Policy: c.keys.policies.list[row.policy].policy, CreatedAt: row.created, ExpiresAt: row.expires,
		RevokedAt: row.revoked, Paused: row.flags&keyPaused != 0, Version: int64(row.version), Hash: hex.EncodeToString(row.hash[:]),
	}
	if row.flags&keyHasBudget != 0 {
		budget := row.budget
		record.Budget = &budget
	}
	if extra, ok := c.keys.extras[index]; ok {
		record.LimitsChangedAt, record.Metadata = extra.limitsChangedAt, extra.metadata
		if extra.hasPrevious {
			record.PreviousLimits = &extra.previousLimits
		}
		var previous []secretRecord
		for _, old := range extra.previous {
			previous = append(previous, secretRecord{hex.EncodeToString(old.hash[:]), old.until})
		}
		record.setPrevious(previous)
	}
	return record
}

// decodeHash reads 64 hexadecimal digits.
func decodeHash(text string, target *[32]byte) error {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(target) {
		return fmt.Errorf("%q is not a SHA-256 in hexadecimal", clip.Text(text))
	}
	copy(target[:], raw)
	return nil
}

// live reports whether a key may be used now.
func (row *keyRow) live(now time.Time) bool {
	return row.revoked == 0 && (row.expires == 0 || now.UnixMicro() < row.expires)
}

// hintMark returns a hash of an owner and a hint.
func (t *keyTable) hintMark(owner uint32, hint string) uint64 {
	return maphash.Comparable(t.seed, struct {
		owner uint32
		hint  string
	}{owner, hint})
}

// encode returns the extra as JSON; map keys are in order there.
func (x keyExtra) encode() string {
	saved := savedExtra{
		PreviousHash: make([]byte, 32), PreviousLimits: x.previousLimits,
		HasPrevious: x.hasPrevious, LimitsChangedAt: x.limitsChangedAt, Metadata: x.metadata,
	}
	for i := range x.previous {
		old := &x.previous[i]
		if i == 0 {
			saved.PreviousHash, saved.PreviousUntil = old.hash[:], old.until
			continue
		}
		saved.Older = append(saved.Older, savedSecret{old.hash[:], old.until})
	}
	text, err := json.Marshal(saved)
	if err != nil {
		panic("ledger: encode key: " + err.Error()) // texts and numbers: nothing to fail
	}
	return string(text)
}

// savedExtra is a keyExtra in a snapshot.
type savedExtra struct {
	PreviousHash    []byte            `json:"previous_hash"`
	PreviousUntil   int64             `json:"previous_until"`
	PreviousLimits  []limits.Row      `json:"previous_limits"`
	HasPrevious     bool              `json:"has_previous"`
	LimitsChangedAt int64             `json:"limits_changed_at"`
	Metadata        map[string]string `json:"metadata"`
	Older           []savedSecret     `json:"older_secrets,omitempty"` // than the previous one, newest first
}

// savedSecret is an oldSecret in a snapshot.
type savedSecret struct {
	Hash  []byte `json:"hash"`
	Until int64  `json:"until"`
}

// decodeExtra is the inverse of keyExtra.encode.
func decodeExtra(d *decoder) keyExtra {
	text := d.text()
	if text == "" {
		return keyExtra{}
	}
	var saved savedExtra
	if err := json.Unmarshal([]byte(text), &saved); err != nil {
		d.fail(err)
	}
	extra := keyExtra{
		previousLimits: saved.PreviousLimits, hasPrevious: saved.HasPrevious,
		limitsChangedAt: saved.LimitsChangedAt, metadata: saved.Metadata,
	}
	if saved.PreviousUntil == 0 {
		return extra
	}
	for _, old := range append([]savedSecret{{saved.PreviousHash, saved.PreviousUntil}}, saved.Older...) {
		secret := oldSecret{until: old.Until}
		copy(secret.hash[:], old.Hash)
		extra.previous = append(extra.previous, secret)
	}
	return extra
}
