package ledger

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/penstockhq/penstock/internal/clip"
)

// Authenticate returns the key with this text. The only error is ErrUnknownKey: the key
// is unknown, malformed, expired or revoked. The slices and maps of the Key are shared
// and must not be changed.
func (l *Ledger) Authenticate(text string) (Key, error) {
	now := l.now()
	key, ok := l.find(text, func(row *keyRow) bool { return row.live(now) }, now)
	if !ok {
		return Key{}, ErrUnknownKey
	}
	return key, nil
}

// KeyByText returns the key with this text, whether or not it can still be used. It is
// for administrators who found a key and want to know whose it is.
func (l *Ledger) KeyByText(text string) (Key, bool) {
	return l.find(text, func(*keyRow) bool { return true }, time.Time{})
}

// find looks a text up. A previous secret counts until it ends; with the zero time
// it always counts.
func (l *Ledger) find(text string, usable func(*keyRow) bool, now time.Time) (Key, bool) {
	if len(text) > maxKeyText {
		return Key{}, false
	}
	id, own, valid := parseText(text)
	if own && !valid {
		return Key{}, false // a typing error or a guess: no need to compute the hash
	}
	var buffer [64]byte // keys of our own fit, so that nothing is allocated
	hash := sha256.Sum256(append(buffer[:0], text...))
	l.mu.Lock()
	defer l.mu.Unlock()
	index, known := l.core.keys.byID[id]
	if !own || !known {
		index, known = l.core.keys.byHash[[16]byte(hash[:16])]
	}
	if !known {
		// The same work as for a known key, so that the time taken tells nothing.
		var none keyRow
		_ = none.matches(hash, keyExtra{}, now)
		return Key{}, false
	}
	row := &l.core.keys.rows[index]
	var extra keyExtra
	if len(l.core.keys.extras) > 0 {
		extra = l.core.keys.extras[index]
	}
	if !row.matches(hash, extra, now) || !usable(row) {
		return Key{}, false
	}
	return l.core.keySnapshot(index), true
}

// matches compares a hash with the key's secret and, while rotations overlap, those
// before.
func (row *keyRow) matches(hash [32]byte, extra keyExtra, now time.Time) bool {
	valid := subtle.ConstantTimeCompare(hash[:], row.hash[:]) == 1
	for i := range extra.previous {
		old := &extra.previous[i]
		if subtle.ConstantTimeCompare(hash[:], old.hash[:]) == 1 && (now.IsZero() || now.UnixMicro() < old.until) {
			valid = true
		}
	}
	return valid
}

// KeyQuery selects keys. A zero field matches all.
type KeyQuery struct {
	Owner string
	Role  *Role
	State KeyState
	Model string // keys that may use this model
	Name  string // start of the name
	After string // id of the last key of the page before
	Limit int    // size of a page, at most 1000; 0 means 100
}

// Key returns a key by its public id. ok is false if there is none.
func (l *Ledger) Key(id string) (key Key, ok bool) {
	raw, _ := parseKeyID(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	index, ok := l.core.keys.byID[raw]
	if !ok {
		return Key{}, false
	}
	return l.core.keySnapshot(index), true
}

// ListKeys returns one page of the keys that match a query, oldest first. next is the
// value of After for the next page, empty at the end. ErrNotFound means that there is no
// key After.
func (l *Ledger) ListKeys(query KeyQuery) (keys []Key, next string, err error) {
	limit := pageSize(query.Limit)
	at := uint32(0)
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if query.After != "" {
		raw, _ := parseKeyID(query.After)
		index, ok := l.core.keys.byID[raw]
		if !ok {
			return nil, "", fmt.Errorf("key %q: %w", clip.Text(query.After), ErrNotFound)
		}
		at = index + 1
	}
	owner, known := l.core.owners[query.Owner]
	if query.Owner != "" && !known {
		return nil, "", nil
	}
	for ; int(at) < len(l.core.keys.rows); at++ {
		if at%4096 == 4095 {
			// A long search lets other callers in. Rows are never removed meanwhile.
			l.mu.Unlock()
			l.mu.Lock()
		}
		row := &l.core.keys.rows[at]
		if (query.Owner != "" && row.owner != owner) || !query.matches(l.core, row, now) {
			continue
		}
		if len(keys) == limit {
			return keys, keys[limit-1].ID, nil
		}
		keys = append(keys, l.core.keySnapshot(at))
	}
	return keys, "", nil
}

// matches checks everything but the owner.
func (q *KeyQuery) matches(c *core, row *keyRow, now time.Time) bool {
	if q.Role != nil && row.role != *q.Role {
		return false
	}
	if q.State != AnyState {
		state := StateActive
		if row.revoked != 0 {
			state = StateRevoked
		} else if !row.live(now) {
			state = StateExpired
		} else if row.flags&keyPaused != 0 {
			state = StatePaused
		}
		if state != q.State {
			return false
		}
	}
	if q.Model != "" {
		if models := c.keys.policies.list[row.policy].policy.Models; len(models) > 0 && !slices.Contains(models, q.Model) {
			return false
		}
	}
	if q.Name != "" {
		if _, name := c.keys.text(row); !strings.HasPrefix(name, q.Name) {
			return false
		}
	}
	return true
}

// Empty reports whether there are neither keys nor accounts.
func (l *Ledger) Empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.core.keys.rows) == 0 && len(l.core.accounts) == 0
}

// Size is how much a ledger holds.
type Size struct {
	Entries  int64 // that were ever written
	Accounts int
	Keys     int // revoked and expired ones too
}

// Size returns how much the ledger holds now.
func (l *Ledger) Size() Size {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Size{Entries: l.core.sequence, Accounts: len(l.core.accounts), Keys: len(l.core.keys.rows)}
}
