package ledger_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/penstockhq/penstock/ledger"
)

func TestASecretCannotBePrinted(t *testing.T) {
	l := open(t, t.TempDir())
	_, secret, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "k"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%c", "%t"} {
		fmt.Fprintf(&out, verb+"\n", secret)
		fmt.Fprintf(&out, verb+"\n", &secret)
		fmt.Fprintf(&out, verb+"\n", struct{ Hidden ledger.Secret }{secret})
		fmt.Fprintf(&out, verb+"\n", []any{secret, map[string]any{"k": secret}})
	}
	for _, encode := range []func() error{
		func() error { return json.NewEncoder(&out).Encode(map[string]any{"a": secret, "b": &secret}) },
		func() error { return xml.NewEncoder(&out).Encode(secret) },
	} {
		if err := encode(); err != nil {
			t.Error(err)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", secret, "pointer", &secret)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", secret, "in", struct{ S ledger.Secret }{secret})
	for _, encoder := range []zapcore.Encoder{
		zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
	} {
		zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&out), zap.DebugLevel)).
			Info("x", zap.Any("secret", secret), zap.Reflect("reflect", secret), zap.Stringer("s", secret), zap.Any("in", struct{ S ledger.Secret }{secret}))
	}
	fmt.Fprintln(&out, fmt.Errorf("wrapped: %v", secret))
	text := secret.Reveal()
	if strings.Contains(out.String(), text[15:47]) || strings.Contains(out.String(), fmt.Sprintf("%x", text[15:47])) {
		t.Errorf("the secret was printed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "[secret]") {
		t.Error("the placeholder was not printed")
	}
}

func TestKeyTextsReachNeitherDiskNorErrors(t *testing.T) {
	directory := t.TempDir()
	l := open(t, directory)
	var texts []string
	for range 20 {
		key, text := member(t, l, ledger.NewKey{}, 0)
		_, rotated, err := l.RotateKey(t.Context(), key.ID, ledger.Rotation{Overlap: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text, rotated.Reveal())
	}
	for _, text := range texts {
		for _, err := range []error{
			second2(l.Authenticate(text + "x")), second2(l.Authenticate(text[:len(text)-1] + "!")),
			second2(l.RevokeKey(t.Context(), text)), second2(l.UpdateKey(t.Context(), text, 0, ledger.KeyPatch{})),
		} {
			if err == nil || strings.Contains(err.Error(), text[15:47]) {
				t.Errorf("error: %v", err)
			}
		}
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, text := range texts {
			if bytes.Contains(content, []byte(text[15:47])) {
				t.Errorf("%s holds the text of a key", path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestKeysHaveTheirFormatAndUniqueHints(t *testing.T) {
	l := open(t, t.TempDir())
	hints := map[string]bool{}
	for range 500 {
		key, text := member(t, l, ledger.NewKey{Owner: "acme"}, 0)
		if !regexp.MustCompile(`^pk_m_[0-9A-Za-z]{48}$`).MatchString(text) {
			t.Fatal("the format is wrong")
		}
		if key.Hint != text[:4]+text[len(text)-4:] || text[5:15] != key.ID || hints[key.Hint] {
			t.Fatalf("hint %q of key %s is wrong or was given before", key.Hint, key.ID)
		}
		hints[key.Hint] = true
	}
	_, admin, err := l.CreateKey(t.Context(), ledger.NewKey{Name: "root", Role: ledger.RoleAdmin, AllOwners: true})
	if err != nil || !strings.HasPrefix(admin.Reveal(), "pk_a_") {
		t.Errorf("admin key: %v", err)
	}
}
