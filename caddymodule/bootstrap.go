package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/ledger"
)

const (
	// bootstrapDemo is the value of App.Bootstrap that creates the demo keys.
	bootstrapDemo = "demo"

	demoOwner     = "demo"
	demoCredit    = 100 * ledger.Credit
	memberKeyFile = "demo.key"
)

// bootstrap creates the demo account and its two keys in a ledger that is empty.
func (a *App) bootstrap(ctx context.Context, log *slog.Logger) error {
	if a.Bootstrap != bootstrapDemo || !a.engine.ledger.Empty() {
		return nil
	}
	l, directory := a.engine.ledger, a.store.Folder()
	if _, err := l.CreateAccount(ctx, demoOwner, "Demonstration"); err != nil {
		return err
	}
	if _, err := l.TopUp(ctx, demoOwner, demoCredit, "bootstrap"); err != nil {
		return err
	}
	for _, key := range []struct {
		file    string
		request ledger.NewKey
	}{
		{runtime.AdminKeyFile, ledger.NewKey{Name: "demo administrator", Owner: demoOwner, Role: ledger.RoleAdmin, AllOwners: true}},
		{memberKeyFile, ledger.NewKey{Name: "demo member", Owner: demoOwner, Limits: a.keyLimits()}},
	} {
		created, secret, err := l.CreateKey(ctx, key.request)
		if err != nil {
			return err
		}
		file := filepath.Join(directory, key.file)
		if err := writeSecret(file, secret); err != nil {
			return err
		}
		log.Info("created a key; its text is in the file and nowhere else",
			"file", file, "role", created.Role.String(), "key_id", created.ID, "account", demoOwner)
	}
	return nil
}

// writeSecret writes a key and a newline to a file that only its owner can read.
// A file that stands there belongs to a ledger that is gone and is replaced.
func writeSecret(name string, secret ledger.Secret) error {
	return replaceFile(name, func(file *os.File) error {
		_, err := file.WriteString(secret.Reveal() + "\n")
		return err
	})
}

// importKey adds the member's key whose hash stands in the configuration.
func (a *App) importKey(ctx context.Context) error {
	if a.KeySHA256 == "" {
		return nil
	}
	hash, err := parseHash(a.KeySHA256)
	if err != nil {
		return fmt.Errorf("key_sha256: %w", err)
	}
	request := ledger.NewKey{Name: "configured member", Limits: a.keyLimits()}
	if _, err := a.engine.ledger.ImportKey(ctx, request, hash, ""); err != nil && !errors.Is(err, ledger.ErrExists) {
		return fmt.Errorf("key_sha256: %w", err)
	}
	return nil
}

// parseHash reads a SHA-256 in hexadecimal digits. The error does not repeat the
// text, which may be a key that somebody put in the wrong place.
func parseHash(text string) (hash [sha256.Size]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(hash) {
		return hash, errors.New("expected the 64 hexadecimal digits of a key's SHA-256, never the key itself")
	}
	return [sha256.Size]byte(raw), nil
}
