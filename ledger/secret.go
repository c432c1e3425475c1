package ledger

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is the text of a new key. It is shown once: only Reveal returns the
// text, and every ordinary way to print, log or encode a value gives a
// placeholder instead.
type Secret struct {
	// The text hides behind a function because reflection-driven printers look
	// through unexported strings but cannot look into a closure.
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
