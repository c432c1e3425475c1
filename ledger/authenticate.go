package ledger

import (
	"crypto/sha256"
	"crypto/subtle"
	"time"
)

// Authenticate returns the key whose text this is. Unknown, malformed, expired and
// revoked keys all give ErrUnknownKey. The slices and maps of the Key are shared
// and must not be changed.
func (l *Ledger) Authenticate(text string) (Key, error) {
	now := l.now()
	key, ok := l.find(text, func(row *keyRow) bool { return row.live(now) }, now)
	if !ok {
		return Key{}, ErrUnknownKey
	}
	return key, nil
}

// KeyByText returns the key whose text this is, whether or not it can still be
// used. It is for administrators who want to know whose key they found.
func (l *Ledger) KeyByText(text string) (Key, bool) {
	return l.find(text, func(*keyRow) bool { return true }, time.Time{})
}

// find looks a text up. A previous secret counts until it ends; with the zero time
// it always counts.
func (l *Ledger) find(text string, usable func(*keyRow) bool, now time.Time) (Key, bool) {
	if len(text) > maxKeyText {
		return Key{}, false
	}
	id, own, valid := parseText(l.prefix, text)
	if own && !valid {
		return Key{}, false // a typing error or a guess: not worth a hash
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
		// The same work as for a key that is known, for a clock outside.
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

// matches compares a hash with the key's secret and, while a rotation overlaps,
// the one before.
func (row *keyRow) matches(hash [32]byte, extra keyExtra, now time.Time) bool {
	current := subtle.ConstantTimeCompare(hash[:], row.hash[:]) == 1
	if extra.previousUntil == 0 {
		return current
	}
	previous := subtle.ConstantTimeCompare(hash[:], extra.previousHash[:]) == 1
	return current || (previous && (now.IsZero() || now.UnixMicro() < extra.previousUntil))
}
