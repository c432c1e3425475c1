package limits

import "testing"

func TestBoundsHoldWhatIsSetAndRaiseWhatIsNot(t *testing.T) {
	bounds := Bounds{RPM: {Min: 10, Max: 600}, TPD: {Min: 5}}
	for reason, row := range map[string]Row{
		"": {RPM: 10, TPD: 0}, "rpm: 0 means no limit, but the maximum here is 600": {}, "rpm: 9 is below the minimum 10": {RPM: 9},
		"rpm: 601 is above the maximum 600": {RPM: 601}, "tpd: 4 is below the minimum 5": {RPM: 20, TPD: 4},
	} {
		wrong := bounds.Check(&row)
		switch {
		case reason == "" && len(wrong) != 0, reason != "" && (len(wrong) != 1 || wrong[0].Error() != reason):
			t.Errorf("%+v: %v, want %q", row, wrong, reason)
		}
	}
	if raised := bounds.Raise(Row{TPM: 7}); raised != (Row{RPM: 600, TPM: 7}) {
		t.Errorf("raised to %+v", raised)
	}
}
