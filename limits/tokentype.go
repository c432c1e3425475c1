package limits

import "fmt"

// TokenType is which tokens the token limits of a row count.
type TokenType uint8

const (
	// Total counts input and output tokens together. It is the default.
	Total TokenType = iota
	// Input counts prompt tokens only.
	Input
	// Output counts generated tokens only.
	Output
)

// TokenTypeNames lists the names of all token types in order.
func TokenTypeNames() []string { return []string{"total", "input", "output"} }

// String returns total, input or output.
func (t TokenType) String() string { return [...]string{"total", "input", "output"}[min(t, Output)] }

// ParseTokenType returns the token type of a name; the empty name is Total.
func ParseTokenType(name string) (TokenType, bool) {
	switch name {
	case "", "total":
		return Total, true
	case "input":
		return Input, true
	case "output":
		return Output, true
	}
	return Total, false
}

// MarshalText implements encoding.TextMarshaler.
func (t TokenType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *TokenType) UnmarshalText(text []byte) error {
	parsed, ok := ParseTokenType(string(text))
	if !ok {
		return fmt.Errorf("token type %q is not total, input or output", text)
	}
	*t = parsed
	return nil
}
