package limits

import "fmt"

// Max is the largest value of a limit: what a JSON number holds exactly.
const Max = int64(1)<<53 - 1

// Row is one row of limits: those of a key as a whole, or of its use of one model. A
// field of 0 sets no limit.
type Row struct {
	Model       string    `json:"model,omitempty"` // empty: every model
	RPM         int64     `json:"rpm"`             // requests in any rolling 60 s
	TPM         int64     `json:"tpm"`             // tokens in any rolling 60 s
	RPD         int64     `json:"rpd"`             // requests in a civil day
	TPD         int64     `json:"tpd"`             // tokens in a civil day
	MaxInFlight int64     `json:"max_in_flight"`   // calls that run at the same time
	TokenType   TokenType `json:"token_type"`      // what TPM and TPD count
}

// Value returns the limit of a rule, to read or to change. It panics on None, which
// no row has.
func (r *Row) Value(rule Rule) *int64 {
	switch rule {
	case RPM:
		return &r.RPM
	case TPM:
		return &r.TPM
	case RPD:
		return &r.RPD
	case TPD:
		return &r.TPD
	case MaxInFlight:
		return &r.MaxInFlight
	}
	panic("limits: no such rule")
}

// Same reports whether two rows limit the same: the tokens of one type, of one model.
func (r *Row) Same(other *Row) bool { return r.Model == other.Model && r.TokenType == other.TokenType }

// Unlimited reports whether the row sets no limit.
func (r *Row) Unlimited() bool { return *r == Row{Model: r.Model, TokenType: r.TokenType} }

// Find returns the one of rows that limits the same as row does, nil if none does.
func Find(rows []Row, row *Row) *Row {
	for i := range rows {
		if rows[i].Same(row) {
			return &rows[i]
		}
	}
	return nil
}

// ValueError says which field of a row cannot have its value.
type ValueError struct {
	Field  string // a name of a rule, token_type, or empty for the row as a whole
	Reason string
}

// Error implements error.
func (e *ValueError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}

// Check returns a *ValueError if a value is negative or too large.
func (r *Row) Check() error {
	for _, rule := range Rules() {
		if value := *r.Value(rule); value < 0 || value > Max {
			return &ValueError{rule.String(), fmt.Sprintf("%d is not between 0 (no limit) and %d", value, Max)}
		}
	}
	if r.TokenType > Output {
		return &ValueError{"token_type", "must be total, input or output"}
	}
	return nil
}

// CheckRows checks rows that bind together: each by itself, and that none is there
// twice. It returns the first row that is wrong and a *ValueError, or -1 and nil.
func CheckRows(rows []Row) (int, error) {
	type identity struct {
		model     string
		tokenType TokenType
	}
	seen := make(map[identity]bool, len(rows))
	for i := range rows {
		row := &rows[i]
		if err := row.Check(); err != nil {
			return i, err
		}
		of := identity{row.Model, row.TokenType}
		if seen[of] {
			return i, &ValueError{"", fmt.Sprintf("two rows for model %q and token type %s", row.Model, row.TokenType)}
		}
		seen[of] = true
	}
	return -1, nil
}

// For returns the row as one for a model.
func (r Row) For(model string) Row {
	r.Model = model
	return r
}
