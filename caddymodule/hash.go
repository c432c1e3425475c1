package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/penstockhq/penstock/ledger"
)

// hashOption is an option whose value is the hash of a key.
type hashOption struct {
	name string
	hash *string
}

// hashes lists the options whose values are hashes of keys.
func (a *App) hashes() []hashOption {
	return []hashOption{{"admin_key_sha256", &a.AdminKeySHA256}, {"key_sha256", &a.KeySHA256}}
}

// parseHash reads a SHA-256 in hexadecimal digits. The error does not repeat the
// text, which may be a key in the wrong place.
func parseHash(text string) (hash [sha256.Size]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(hash) {
		return hash, errors.New("expected the 64 hexadecimal digits of a key's SHA-256, never the key itself")
	}
	return [sha256.Size]byte(raw), nil
}

// importKey adds the member's key whose hash is configured.
func (a *App) importKey(ctx context.Context) error {
	if a.KeySHA256 == "" {
		return nil
	}
	hash, err := parseHash(a.KeySHA256)
	if err != nil {
		return fmt.Errorf("key_sha256: %w", err)
	}
	request := ledger.NewKey{Name: "configured member", Limits: a.keyLimits()}
	if _, err := a.engine.Ledger.ImportKey(ctx, request, hash, ""); err != nil && !errors.Is(err, ledger.ErrExists) {
		return fmt.Errorf("key_sha256: %w", err)
	}
	return nil
}
