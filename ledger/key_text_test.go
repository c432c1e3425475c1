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

func TestKeysAreMaskedWhereverTheyStand(t *testing.T) {
	for _, prefix := range []string{"pk", "a", "sixteenletters16"} {
		for _, role := range []string{"_m_", "_a_"} {
			key := prefix + role + "0123456789aBcDeFgHiJkLmNoPqRsTuVwXyZ98765432CheckS"
			for _, shape := range []string{
				"KEY", " KEY ", "Bearer KEY", "/v1/models?api_key=KEY&x=1", `{"uri":"/KEY"}`, "KEY,KEY", "a_m_b_KEY", "x%20KEY", "caf\u00e9KEY\u00e9", "__m_KEY",
			} {
				text := strings.ReplaceAll(shape, "KEY", key)
				want := strings.ReplaceAll(shape, "KEY", "[secret]")
				if got := ledger.MaskKeys(text); got != want && !(strings.HasPrefix(shape, "x%20") && got == "x%[secret]") {
					t.Errorf("%q becomes %q", shape, strings.ReplaceAll(got, key, "KEY"))
				}
				if !ledger.HoldsKey(text) {
					t.Errorf("%q holds no key", shape)
				}
			}
			secret := key[len(prefix)+len("_m_0123456789"):]
			for name, text := range map[string]string{
				"escaped": strings.ReplaceAll(key, "_", "%5F"), "escaped in small letters": strings.Replace(key, "_", "%5f", 1),
				"mistyped": key[:len(key)-1] + "?", "cut off": key[:len(key)-12], "too long": key + "0", "in large letters": strings.ToUpper(prefix) + key[len(prefix):],
			} {
				if got := ledger.MaskKeys("x=" + text + "&y"); strings.Contains(got, secret[:12]) {
					t.Errorf("%s: a part of the secret is left", name)
				}
			}
		}
	}
}

func TestWhatIsNoKeyIsNotMasked(t *testing.T) {
	digits := strings.Repeat("0a", 30)
	for _, text := range []string{
		"", "_", "_m_", "pk_m_", "pk_m_short", "pk_x_" + digits, "_m_" + digits, "pk-m-" + digits, digits, "%5", "%5fm%5f" + digits, "pk_m" + digits,
		"req_0123456789abcdef01234567", "some_m_odel_a_name",
	} {
		if got := ledger.MaskKeys(text); got != text || ledger.HoldsKey(text) {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	text := "a_line_of_the_log without a key_m_ in it"
	if n := testing.AllocsPerRun(100, func() { ledger.MaskKeys(text) }); n != 0 {
		t.Errorf("%v allocations for a text without a key", n)
	}
}

func FuzzMaskKeys(f *testing.F) {
	f.Add("Bearer pk_m_" + strings.Repeat("0", 48))
	f.Add("%5Fm%5f_a_" + strings.Repeat("Z", 48) + "_m_" + strings.Repeat("1", 30))
	f.Fuzz(func(t *testing.T, text string) {
		masked := ledger.MaskKeys(text)
		if ledger.HoldsKey(masked) {
			t.Errorf("%q becomes %q, which still holds a key", text, masked)
		}
		if !ledger.HoldsKey(text) && masked != text {
			t.Errorf("%q without a key becomes %q", text, masked)
		}
	})
}
