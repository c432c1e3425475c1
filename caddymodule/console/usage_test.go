package console

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestAVerdictSaysWhatIsInTheWay(t *testing.T) {
	busy := record{"rule": "rpm", "used": 60.0, "limit": 60.0, "needed": 1.0, "retry_after_ms": 1500.0}
	never := record{"rule": "tpm", "used": 0.0, "limit": 10.0, "needed": 11.0, "never": true}
	for _, test := range []struct {
		explained       record
		verdict, detail string
	}{
		{record{"state": "active"}, "fits now", ""},
		{record{"state": "revoked"}, "never fits", "the key is revoked"},
		{record{"state": "active", "model_allowed": false}, "never fits", "the key may not use this model, or there is no such model"},
		{record{"state": "active", "refusal": map[string]any(busy)}, "fits in 1.5s", "rpm: 60 of 60 used, 1 needed"},
		{record{"state": "active", "refusal": map[string]any(never)}, "never fits", "tpm: 0 of 10 used, 11 needed"},
	} {
		verdict, detail := verdictOf(test.explained)
		if verdict != test.verdict || detail != test.detail {
			t.Errorf("%v: %q, %q", test.explained, verdict, detail)
		}
	}
}

func TestUsageIsPrintedWithWhatWasWrittenOff(t *testing.T) {
	row := map[string]any{"owner": "acme", "requests": 2.0, "duration_us": 3e6, "charged": "1.000000", "written_off": "2.500000"}
	var out strings.Builder
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	if err := printUsage(cmd, record{"usage": []any{row}, "total": row}, []string{"owner"}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.HasSuffix(lines[0], "WRITTEN OFF") || !strings.HasSuffix(lines[1], "2.500000") || !strings.HasPrefix(lines[2], "TOTAL") {
		t.Errorf("printed is\n%s", out.String())
	}
}
