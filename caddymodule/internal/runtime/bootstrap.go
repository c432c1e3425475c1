package runtime

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/penstockhq/penstock/internal/replace"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limits"
)

const (
	demoOwner  = "demo"
	demoCredit = 100 * ledger.Credit
)

// Bootstrap creates a demonstration account and its two keys in a ledger that is empty. The
// member's key gets the given limits.
func (e *Engine) Bootstrap(ctx context.Context, memberLimits []limits.Row, log *slog.Logger) error {
	if !e.Ledger.Empty() {
		return nil
	}
	if _, err := e.Ledger.CreateAccount(ctx, ledger.NewAccount{ID: demoOwner, Name: "Demonstration"}); err != nil {
		return err
	}
	if _, err := e.Ledger.TopUp(ctx, demoOwner, demoCredit, "bootstrap"); err != nil {
		return err
	}
	administrator := ledger.NewKey{Name: "demo administrator", Owner: demoOwner, Role: ledger.RoleAdmin, AllOwners: true}
	member := ledger.NewKey{Name: "demo member", Owner: demoOwner, Limits: memberLimits}
	for _, key := range []struct {
		file    string
		request ledger.NewKey
	}{{AdminKeyFile, administrator}, {MemberKeyFile, member}} {
		created, secret, err := e.Ledger.CreateKey(ctx, key.request)
		if err != nil {
			return err
		}
		file := filepath.Join(e.store.Folder(), key.file)
		if err := writeSecret(file, secret); err != nil {
			return err
		}
		log.Info("created a key; its text is in the file and nowhere else",
			"file", file, "role", created.Role.String(), "key_id", created.ID, "account", demoOwner)
	}
	return nil
}

// writeSecret writes a key and a newline to a file that only its owner can read.
// A file that exists already belongs to a ledger that is gone, and is replaced.
func writeSecret(name string, secret ledger.Secret) error {
	return replace.File(name, func(file *os.File) error {
		_, err := file.WriteString(secret.Reveal() + "\n")
		return err
	})
}
