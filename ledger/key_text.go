package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
	"time"
)

// A key's text is prefix, role, public id, secret and checksum:
//
//	pk_m_ 0123456789 01234567890123456789012345678901 012345
//
// With underscores, a double click selects all of it. The checksum finds typing errors
// and lets scanners for leaked secrets recognize a key without asking the ledger.
const (
	keyIDLength    = 10
	secretLength   = 32 // 32 base62 digits carry 190 bits
	checksumLength = 6
	keyBodyLength  = keyIDLength + secretLength + checksumLength
	maxKeyText     = 512 // imported keys may be longer than our own
	hintSide       = 4   // characters of the text at each end of a hint
	keyPrefix      = "pk"
	maxPrefix      = 16 // of any key, to hide those of other installations too
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// keyID is the public part of a key's text.
type keyID [keyIDLength]byte

// parseKeyID reads a public id. ok is false if the text has another length.
func parseKeyID(text string) (id keyID, ok bool) {
	if len(text) != keyIDLength {
		return id, false
	}
	copy(id[:], text)
	return id, true
}

// mintText makes the text of a key with the given public id.
func mintText(random io.Reader, role Role, id keyID) (string, error) {
	body := make([]byte, keyIDLength+secretLength, keyBodyLength)
	copy(body, id[:])
	if err := randomBase62(random, body[keyIDLength:]); err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	letter := "_m_"
	if role == RoleAdmin {
		letter = "_a_"
	}
	head := keyPrefix + letter
	sum := checksum(head, body)
	return head + string(append(body, sum[:]...)), nil
}

// randomBase62 fills target with random base62 digits, all equally likely.
func randomBase62(random io.Reader, target []byte) error {
	// 248 is the largest multiple of 62 below 256. Larger bytes are skipped, because their
	// remainders would make the first digits more likely.
	const fair = 248
	buffer := make([]byte, 2*len(target))
	for filled := 0; filled < len(target); {
		if _, err := io.ReadFull(random, buffer); err != nil {
			return err
		}
		for _, b := range buffer {
			if b < fair && filled < len(target) {
				target[filled] = base62[b%62]
				filled++
			}
		}
	}
	return nil
}

// checksum is the CRC-32 of head and body as six base62 digits.
func checksum(head string, body []byte) (digits [checksumLength]byte) {
	value := crc32Of(head + string(body))
	for i := checksumLength - 1; i >= 0; i-- {
		digits[i] = base62[value%62]
		value /= 62
	}
	return digits
}

// parseText finds the public id in a key's text. own is false if the text does
// not have the shape of a key; valid says whether the checksum
// is right.
func parseText(text string) (id keyID, own, valid bool) {
	head := len(keyPrefix) + len("_m_")
	if len(text) != head+keyBodyLength || !strings.HasPrefix(text, keyPrefix) {
		return id, false, false
	}
	if separator := text[len(keyPrefix):head]; separator != "_m_" && separator != "_a_" {
		return id, false, false
	}
	copy(id[:], text[head:])
	const sumAt = keyIDLength + secretLength
	value := crc32Of(text[:head+sumAt])
	for i := checksumLength - 1; i >= 0; i-- {
		if text[head+sumAt+i] != base62[value%62] {
			return id, true, false
		}
		value /= 62
	}
	return id, true, true
}

// hintOf returns the first and the last four characters of a key's text, by which some
// clients find a key in a list.
func hintOf(text string) string {
	if len(text) < 4*hintSide {
		return ""
	}
	return text[:hintSide] + text[len(text)-hintSide:]
}

// crc32Of returns the CRC-32 of a text. The standard library's function takes bytes,
// which would cost an allocation for each authentication.
func crc32Of(text string) uint32 {
	sum := ^uint32(0)
	for i := range len(text) {
		sum = crc32.IEEETable[byte(sum)^text[i]] ^ sum>>8
	}
	return ^sum
}

// Secret is the text of a new key. Only Reveal returns the text: printing, logging or
// encoding a Secret gives a placeholder.
type Secret struct {
	// The text is in a closure because printers that use reflection can read an
	// unexported string, but not a closure's variables.
	reveal func() string
}

const redacted = "[secret]"

// newSecret wraps a key's text.
func newSecret(text string) Secret { return Secret{reveal: func() string { return text }} }

// Reveal returns the text. It is empty for the zero Secret.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// String implements fmt.Stringer without the text.
func (s Secret) String() string { return redacted }

// GoString implements fmt.GoStringer without the text.
func (s Secret) GoString() string { return redacted }

// Format implements fmt.Formatter without the text, whatever the verb.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalText implements encoding.TextMarshaler without the text. JSON, XML, YAML
// and structured loggers use it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler without the text.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue implements slog.LogValuer without the text.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MaxOverlap is how long an old secret may stay valid after a rotation.
const MaxOverlap = 7 * 24 * time.Hour

// maxOverlaps is how many old secrets of a key may be valid at the same time.
const maxOverlaps = 10

// Rotation is how a key gets a new secret.
type Rotation struct {
	// Overlap is how long the secret that is replaced stays valid, 0 to MaxOverlap.
	Overlap time.Duration
	// EndPrevious ends at once what earlier rotations left valid. Without it each
	// old secret stays valid for as long as its rotation promised.
	EndPrevious bool
	// Idempotency makes the same request rotate the key once.
	Idempotency Idempotency
}

// RotateKey gives a key a new secret; id, budget, limits and usage stay. It returns
// when that is durable. A request that was made before gives the key as it is now, and
// an empty Secret. ErrOverlaps: too many old secrets are still valid.
func (l *Ledger) RotateKey(ctx context.Context, id string, rotation Rotation) (Key, Secret, error) {
	if rotation.Overlap < 0 || rotation.Overlap > MaxOverlap {
		return Key{}, Secret{}, &InvalidError{Field: "overlap", Reason: fmt.Sprintf("%s is not between 0 and %s", rotation.Overlap, MaxOverlap)}
	}
	if err := rotation.Idempotency.validate(); err != nil {
		return Key{}, Secret{}, err
	}
	var text string
	key, err := l.changeKey(ctx, id, 0, "rotated", func(record *keyRecord) (err error) {
		if _, again, err := l.core.earlier(&rotation.Idempotency); again || err != nil {
			return cmp.Or(err, errUnchanged)
		}
		raw, _ := parseKeyID(id)
		if text, err = l.freeText(record.Role, raw, l.core.keys.rows[l.core.keys.byID[raw]].owner, true); err != nil {
			return err
		}
		record.Request = rotation.Idempotency.record()
		return record.rotate(sha256.Sum256([]byte(text)), hintOf(text), &rotation, l.now())
	})
	if err != nil || text == "" {
		return key, Secret{}, err
	}
	return key, newSecret(text), nil
}

// rotate replaces the secret of a record.
func (r *keyRecord) rotate(hash [32]byte, hint string, rotation *Rotation, now time.Time) error {
	var valid []secretRecord
	if rotation.Overlap > 0 {
		valid = append(valid, secretRecord{r.Hash, now.Add(rotation.Overlap).UnixMicro()})
	}
	for _, old := range r.previous() {
		if !rotation.EndPrevious && old.Until > now.UnixMicro() {
			valid = append(valid, old)
		}
	}
	if len(valid) > maxOverlaps {
		return fmt.Errorf("%w: %d", ErrOverlaps, maxOverlaps)
	}
	r.setPrevious(valid)
	r.Hash, r.Hint = hex.EncodeToString(hash[:]), hint
	return nil
}

// minMasked is how many digits after prefix and role make a text a key: a key that
// was cut off or mistyped still holds most of its secret.
const minMasked = keyIDLength + secretLength/2

// HoldsKey tells whether a text holds something in the form of a key, whatever its
// prefix: a key as it is, with a mistake in it, or the beginning of one. An underscore
// may be escaped as in an address.
func HoldsKey(text string) bool {
	begin, _ := findKey(text, 0)
	return begin >= 0
}

// MaskKeys replaces everything in a text that has the form of a key. A text without
// one is returned as it is, without an allocation.
func MaskKeys(text string) string {
	begin, end := findKey(text, 0)
	if begin < 0 {
		return text
	}
	var masked strings.Builder
	for from := 0; ; {
		if begin < 0 {
			masked.WriteString(text[from:])
			return masked.String()
		}
		masked.WriteString(text[from:begin])
		masked.WriteString(redacted)
		from = end
		begin, end = findKey(text, from)
	}
}

// findKey finds the first key from a place on. begin is -1 if there is none.
func findKey(text string, from int) (begin, end int) {
	const least = len("_m_") + minMasked // most texts are shorter
	for at := from; at+least <= len(text); at++ {
		first := separator(text[at:])
		if first == 0 {
			continue
		}
		role := at + first
		if text[role] != 'm' && text[role] != 'a' {
			continue
		}
		second := separator(text[role+1:])
		begin = at - prefixBefore(text[from:at])
		if second == 0 || begin == at {
			continue
		}
		digits := role + 1 + second
		end = digits
		for end < len(text) && isBase62(text[end]) {
			end++
		}
		if end-digits >= minMasked {
			return begin, end
		}
	}
	return -1, 0
}

// separator returns the length of the underscore that a text begins with, 0 if it
// begins with something else.
func separator(text string) int {
	switch {
	case strings.HasPrefix(text, "_"):
		return 1
	case len(text) >= 3 && strings.EqualFold(text[:3], "%5f"):
		return 3
	}
	return 0
}

// prefixBefore returns the length of the prefix of a key that a text ends with.
func prefixBefore(text string) int {
	length := 0
	for length < len(text) && length < maxPrefix && isBase62(text[len(text)-1-length]) {
		length++
	}
	return length
}

func isBase62(char byte) bool {
	return '0' <= char && char <= '9' || 'a' <= char && char <= 'z' || 'A' <= char && char <= 'Z'
}
