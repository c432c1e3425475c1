package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
	"github.com/penstockhq/penstock/limits"
)

const defaultOwner = "default"

// CreateKey makes a key and returns it with its text, which is never shown again.
// An unknown owner gets an account. It returns when the key is durable. A request that
// was made before gives its key as it is now, and an empty Secret. Errors about values
// wrap ErrInvalid.
func (l *Ledger) CreateKey(ctx context.Context, request NewKey) (Key, Secret, error) {
	request, err := request.normal()
	if err != nil {
		return Key{}, Secret{}, err
	}
	if key, again, err := l.MadeKey(ctx, request.Idempotency); again || err != nil {
		return key, Secret{}, err
	}
	if request.UniqueName {
		release, err := l.reserveName(request.Owner, request.Name, "")
		if err != nil {
			// The same request may have come a moment earlier: then the name is its own.
			if key, again, found := l.MadeKey(ctx, request.Idempotency); again || found != nil {
				return key, Secret{}, found
			}
			return Key{}, Secret{}, err
		}
		defer release()
	}
	var id keyID
	var text string
	err = l.write(ctx, func() ([]*Entry, error) {
		if before, again, err := l.core.earlier(&request.Idempotency); again || err != nil {
			id, text = l.core.keyIDAt(before, again), ""
			return nil, err
		}
		if id, err = l.freeID(); err != nil {
			return nil, err
		}
		owner, known := l.core.owners[request.Owner]
		if text, err = l.freeText(request.Role, id, owner, known); err != nil {
			return nil, err
		}
		return l.newKeyEntries(request, id, sha256.Sum256([]byte(text)), hintOf(text), false), nil
	})
	if err != nil {
		return Key{}, Secret{}, err
	}
	key, _ := l.Key(string(id[:]))
	if text == "" {
		return key, Secret{}, nil
	}
	return key, newSecret(text), nil
}

// keyIDAt returns the id of the key that a request made, if there was one.
func (c *core) keyIDAt(made request, there bool) (id keyID) {
	if there {
		id = c.keys.rows[made.index].id
	}
	return id
}

// ImportKey makes a key whose text exists already and is known only by its SHA-256. Its
// id follows from the hash, unless another key has that id. hint is the first and last
// four characters of the text, if they are known. If a key with this hash exists, it is
// returned with ErrExists; if the same request made it, without.
func (l *Ledger) ImportKey(ctx context.Context, request NewKey, hash [sha256.Size]byte, hint string) (Key, error) {
	request, err := request.normal()
	if err != nil {
		return Key{}, err
	}
	if err := validText("hint", hint, 0, 2*hintSide); err != nil {
		return Key{}, err
	}
	if key, again, err := l.MadeKey(ctx, request.Idempotency); again || err != nil {
		return key, err
	}
	if request.UniqueName {
		release, err := l.reserveName(request.Owner, request.Name, "")
		if err != nil {
			return Key{}, err
		}
		defer release()
	}
	var id keyID
	err = l.write(ctx, func() ([]*Entry, error) {
		if before, again, err := l.core.earlier(&request.Idempotency); again || err != nil {
			id = l.core.keyIDAt(before, again)
			return nil, err
		}
		if index, ok := l.core.keys.byHash[[16]byte(hash[:16])]; ok {
			id = l.core.keys.rows[index].id
			return nil, fmt.Errorf("key %s: %w", id[:], ErrExists)
		}
		id = importedID(hash)
		if _, taken := l.core.keys.byID[id]; taken {
			if id, err = l.freeID(); err != nil {
				return nil, err
			}
		}
		return l.newKeyEntries(request, id, hash, hint, true), nil
	})
	key, _ := l.Key(string(id[:]))
	return key, err
}

// newKeyEntries returns the entry of a new key and, if its owner is new too, that
// of the account.
func (l *Ledger) newKeyEntries(request NewKey, id keyID, hash [32]byte, hint string, foreign bool) []*Entry {
	var entries []*Entry
	if _, ok := l.core.owners[request.Owner]; !ok {
		entries = append(entries, accountEntry(request.Owner, "created", accountDetail{}))
	}
	record := keyRecord{
		Name: request.Name, Hint: hint, Role: request.Role, AllOwners: request.AllOwners, Foreign: foreign,
		Policy:    keyPolicy{Models: request.Models, Limits: request.Limits, Permissions: request.Permissions, CIDRs: request.CIDRs},
		CreatedAt: max(l.now().UnixMicro(), 1), ExpiresAt: micros(request.ExpiresAt), Metadata: request.Metadata,
		Version: 1, Hash: hex.EncodeToString(hash[:]), Request: request.Idempotency.record(),
	}
	if request.HasBudget {
		record.Budget = &request.Budget
	}
	return append(entries, keyEntry(request.Owner, string(id[:]), "created", record))
}

func keyEntry(owner, id, what string, record keyRecord) *Entry {
	detail, err := json.Marshal(record)
	if err != nil {
		// A record consists of texts, numbers and networks, which always encode.
		panic("ledger: encode key: " + err.Error())
	}
	return &Entry{Kind: KindKey, Account: owner, KeyID: id, Reference: what, Detail: detail}
}

// freeID returns a random id that no key has.
func (l *Ledger) freeID() (id keyID, err error) {
	for {
		if err := randomBase62(l.random, id[:]); err != nil {
			return id, fmt.Errorf("make key: %w", err)
		}
		if _, taken := l.core.keys.byID[id]; !taken {
			return id, nil
		}
	}
}

// importedID returns the id of an imported key. It is the same in every ledger, so that
// gateways that share limits count such a key together, and tells nothing of the hash.
func importedID(hash [sha256.Size]byte) (id keyID) {
	sum := sha256.Sum256(append([]byte("penstock id of an imported key\x00"), hash[:]...))
	for i := range id {
		id[i] = base62[int(sum[i])%len(base62)]
	}
	return id
}

// freeText returns a random text with a hint that no other key of the owner has: some
// clients have only the hint to find a key in a list.
func (l *Ledger) freeText(role Role, id keyID, owner uint32, known bool) (string, error) {
	const attempts = 1000
	for range attempts {
		text, err := mintText(l.random, role, id)
		if err != nil {
			return "", err
		}
		if _, taken := l.core.keys.hints[l.core.keys.hintMark(owner, hintOf(text))]; !taken || !known {
			return text, nil
		}
	}
	return "", fmt.Errorf("make key: no free hint in %d attempts, the owner has too many keys", attempts)
}

// reserveName returns ErrNameTaken, or lets no other request for a unique name in until
// release is called.
func (l *Ledger) reserveName(owner, name, exceptID string) (release func(), err error) {
	l.naming.Lock()
	if err := l.nameFree(owner, name, exceptID); err != nil {
		l.naming.Unlock()
		return nil, err
	}
	return l.naming.Unlock, nil
}

// nameFree returns ErrNameTaken if a key of the owner other than exceptID has the name
// and is not revoked. Other callers can use the ledger during the search.
func (l *Ledger) nameFree(owner, name, exceptID string) error {
	query := KeyQuery{Owner: owner, Name: name, Limit: 1000}
	for {
		keys, next, err := l.ListKeys(query)
		if err != nil {
			return err
		}
		for i := range keys {
			if keys[i].Name == name && keys[i].ID != exceptID && keys[i].RevokedAt.IsZero() {
				return fmt.Errorf("key %s: %w", keys[i].ID, ErrNameTaken)
			}
		}
		if next == "" {
			return nil
		}
		query.After = next
	}
}

// Effective says when changed limits take effect.
type Effective uint8

const (
	// EffectiveNow makes changed limits take effect at once. It is the default.
	EffectiveNow Effective = iota
	// EffectiveNextWindow leaves the old limits in force until the next full minute
	// (minute limits) and the next midnight (day limits).
	EffectiveNextWindow
)

// KeyPatch is a change of a key. Nil fields stay as they are.
type KeyPatch struct {
	Name *string
	// UniqueName works as in NewKey.
	UniqueName bool

	Models      *[]string
	Limits      *[]limits.Row
	Effective   Effective // of Limits
	Permissions *[]string
	CIDRs       *[]netip.Prefix
	Budget      *Budget
	ExpiresAt   *time.Time         // the zero time: never
	Metadata    *map[string]string // replaces all
	Paused      *bool
}

// Budget is the most that a key may ever spend.
type Budget struct {
	Unlimited bool
	Amount    Micro // if not Unlimited; includes what the key has spent already
}

// UpdateKey changes a key and returns when the change is durable. version is the version
// that the caller read, or 0 to change any. Errors:
//   - *ConflictError: the key has another version.
//   - ErrNotFound: there is no such key.
//   - ErrRevoked: the key is revoked.
//   - ErrNameTaken: with UniqueName, another key has the name.
//   - ErrInvalid, ErrUnavailable.
func (l *Ledger) UpdateKey(ctx context.Context, id string, version int64, patch KeyPatch) (Key, error) {
	if patch.UniqueName && patch.Name != nil {
		if key, ok := l.Key(id); ok { // the owner of a key never changes
			release, err := l.reserveName(key.Owner, *patch.Name, id)
			if err != nil {
				return Key{}, err
			}
			defer release()
		}
	}
	what := "updated"
	if patch.Paused != nil {
		what = map[bool]string{true: "paused", false: "resumed"}[*patch.Paused]
	}
	return l.changeKey(ctx, id, version, what, func(record *keyRecord) error { return patch.apply(record, l.now(), l.zone) })
}

// RevokeKey makes a key unusable, at once and forever, and returns when that is durable.
// Revoking a revoked key changes nothing. Errors are ErrNotFound and ErrUnavailable.
func (l *Ledger) RevokeKey(ctx context.Context, id string) (Key, error) {
	return l.changeKey(ctx, id, 0, "revoked", func(record *keyRecord) error {
		record.RevokedAt = max(l.now().UnixMicro(), 1)
		record.setPrevious(nil)
		return nil
	})
}

// errUnchanged ends a change that has nothing to change.
var errUnchanged = errors.New("unchanged")

// changeKey appends the next version of a key to the log.
func (l *Ledger) changeKey(ctx context.Context, id string, version int64, what string, change func(*keyRecord) error) (Key, error) {
	err := l.write(ctx, func() ([]*Entry, error) {
		raw, _ := parseKeyID(id)
		index, ok := l.core.keys.byID[raw]
		if !ok {
			return nil, fmt.Errorf("key %q: %w", clip.Text(id), ErrNotFound)
		}
		record := l.core.keyRecord(index)
		if version != 0 && version != record.Version {
			return nil, &ConflictError{Current: record.Version}
		}
		if record.RevokedAt != 0 {
			if what == "revoked" {
				return nil, nil
			}
			return nil, fmt.Errorf("key %s: %w", id, ErrRevoked)
		}
		if err := change(&record); errors.Is(err, errUnchanged) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		record.Version++
		return []*Entry{keyEntry(l.core.accounts[l.core.keys.rows[index].owner].id, id, what, record)}, nil
	})
	if err != nil {
		return Key{}, err
	}
	key, _ := l.Key(id)
	return key, nil
}

// apply changes a record as the patch says, or returns an *InvalidError.
func (p *KeyPatch) apply(record *keyRecord, now time.Time, zone *time.Location) error {
	check := NewKey{
		Name: record.Name, Models: record.Policy.Models, Limits: record.Policy.Limits, Permissions: record.Policy.Permissions,
		CIDRs: record.Policy.CIDRs, Metadata: record.Metadata, Role: record.Role, AllOwners: record.AllOwners,
	}
	set(&check.Name, p.Name)
	set(&check.Models, p.Models)
	set(&check.Limits, p.Limits)
	set(&check.Permissions, p.Permissions)
	set(&check.CIDRs, p.CIDRs)
	set(&check.Metadata, p.Metadata)
	if p.Budget != nil && !p.Budget.Unlimited {
		check.HasBudget, check.Budget = true, p.Budget.Amount
	}
	checked, err := check.normal()
	if err != nil {
		return err
	}
	if p.Limits != nil {
		record.changeLimits(checked.Limits, p.Effective, now, zone)
	}
	record.Name, record.Metadata = checked.Name, checked.Metadata
	record.Policy = keyPolicy{Models: checked.Models, Limits: checked.Limits, Permissions: checked.Permissions, CIDRs: checked.CIDRs}
	if p.Budget != nil {
		record.Budget = nil
		if !p.Budget.Unlimited {
			record.Budget = &checked.Budget
		}
	}
	if p.ExpiresAt != nil {
		record.ExpiresAt = micros(*p.ExpiresAt)
	}
	set(&record.Paused, p.Paused)
	return nil
}

// changeLimits keeps the previous limits if the new ones take effect later.
func (r *keyRecord) changeLimits(rows []limits.Row, effective Effective, now time.Time, zone *time.Location) {
	if effective == EffectiveNow {
		r.PreviousLimits, r.LimitsChangedAt = nil, 0
		return
	}
	if slices.Equal(rows, r.Policy.Limits) {
		return
	}
	var change limits.Change
	if r.PreviousLimits != nil {
		change = limits.Change{Previous: *r.PreviousLimits, At: moment(r.LimitsChangedAt)}
	}
	previous := limits.InForce(r.Policy.Limits, change, now, zone)
	r.PreviousLimits, r.LimitsChangedAt = &previous, micros(now)
}

// set replaces a value if there is a new one.
func set[T any](target *T, value *T) {
	if value != nil {
		*target = *value
	}
}
