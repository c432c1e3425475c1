package console

import "testing"

func TestMembersAreWrittenForATable(t *testing.T) {
	r := record{"name": "a", "empty": "", "number": 12345678.0, "list": []any{"x", "y"}, "none": []any{}, "yes": true}
	for name, want := range map[string]string{
		"name": "a", "empty": "-", "absent": "-", "number": "12345678", "list": "x,y", "none": "-", "yes": "true",
	} {
		if got := r.text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestLimitsAreWrittenAsTheFlagsTakeThem(t *testing.T) {
	for want, row := range map[string]record{
		"none":                     {"token_type": "input"},
		"rpm=60 tpd=5":             {"tpd": 5.0, "rpm": 60.0, "token_type": "total"},
		"tpm=10 token_type=output": {"tpm": 10.0, "token_type": "output"},
	} {
		if got := limitsText(row); got != want {
			t.Errorf("%v: %q, want %q", row, got, want)
		}
	}
}
