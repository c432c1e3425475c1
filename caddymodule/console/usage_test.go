package console

import "testing"

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
