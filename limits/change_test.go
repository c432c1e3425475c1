package limits

import (
	"reflect"
	"testing"
	"time"
)

func TestRowsOfEachTokenTypeKeepTheirOwnPreviousLimits(t *testing.T) {
	changed := time.Unix(1_700_000_000, 0)
	rows := []Row{{Model: "m", TokenType: Input, TPM: 10}, {Model: "m", TokenType: Output, TPM: 20}}
	change := Change{
		Previous: []Row{{Model: "m", TokenType: Output, TPM: 2}, {Model: "m", TPM: 3}, {Model: "other", TPM: 4}},
		At:       changed,
	}
	want := []Binding{
		{Row: Row{Model: "m", TPM: 10, TokenType: Input}, Previous: &Row{}, ChangedAt: changed},
		{Row: Row{Model: "m", TPM: 20, TokenType: Output}, Previous: &Row{Model: "m", TPM: 2, TokenType: Output}, ChangedAt: changed},
		{Row: Row{Model: "m"}, Previous: &Row{Model: "m", TPM: 3}, ChangedAt: changed},
	}
	if got := Applying(nil, rows, change, "m"); !reflect.DeepEqual(got, want) {
		t.Errorf("rows %+v\nwant %+v", got, want)
	}
}

func TestRowsThatAChangeTakesAwayBindUntilItActs(t *testing.T) {
	rows := []Row{{RPM: 5}, {Model: "a", TPM: 7, TokenType: Output}}
	change := Change{Previous: []Row{{RPM: 3}, {Model: "b", RPM: 1}}, At: time.Unix(1000, 0)}
	got := Applying(nil, rows, change, "a")
	if len(got) != 2 || got[0].Previous.RPM != 3 || got[1].TokenType != Output || *got[1].Previous != (Row{}) || !got[0].ChangedAt.Equal(change.At) {
		t.Errorf("%+v", got)
	}
	if got = Applying(nil, rows, change, "b"); len(got) != 2 || got[1].Previous.RPM != 1 || !got[1].Unlimited() {
		t.Errorf("%+v", got)
	}
	if got = Applying(nil, rows, Change{}, "c"); len(got) != 1 || got[0].Previous != nil {
		t.Errorf("%+v", got)
	}
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestAChangeActsWithTheNextMinuteAndTheNextMidnight(t *testing.T) {
	for name, test := range map[string]struct {
		changed, minute, day string
		zone                 string
	}{
		"UTC":                             {"2026-03-10T12:00:30Z", "2026-03-10T12:01:00Z", "2026-03-11T00:00:00Z", "UTC"},
		"at a full minute":                {"2026-03-10T12:00:00Z", "2026-03-10T12:01:00Z", "2026-03-11T00:00:00Z", "UTC"},
		"behind midnight in Berlin":       {"2026-03-10T23:30:00Z", "2026-03-10T23:31:00Z", "2026-03-11T23:00:00Z", "Europe/Berlin"},
		"before summer time in Berlin":    {"2026-03-28T23:30:00Z", "2026-03-28T23:31:00Z", "2026-03-29T22:00:00Z", "Europe/Berlin"},
		"before a midnight that is not":   {"2026-04-23T20:00:00Z", "2026-04-23T20:01:00Z", "2026-04-23T22:00:00Z", "Africa/Cairo"},
		"a last minute that is not whole": {"2026-03-10T23:59:59.999Z", "2026-03-11T00:00:00Z", "2026-03-11T00:00:00Z", "UTC"},
	} {
		t.Run(name, func(t *testing.T) {
			at := func(text string) time.Time {
				moment, err := time.Parse(time.RFC3339Nano, text)
				if err != nil {
					t.Fatal(err)
				}
				return moment
			}
			changed, location := at(test.changed), zone(t, test.zone)
			for _, edge := range []struct {
				now         time.Time
				minute, day bool
			}{
				{changed, true, true},
				{at(test.minute).Add(-1), true, true},
				{at(test.minute), false, at(test.minute).Before(at(test.day))},
				{at(test.day).Add(-1), at(test.day).Equal(at(test.minute)), true},
				{at(test.day), false, false},
				{at(test.day).AddDate(1, 0, 0), false, false},
			} {
				if minute, day := PreviousBinds(changed, edge.now, location); minute != edge.minute || day != edge.day {
					t.Errorf("at %v the limits before bind per minute %v, per day %v; want %v, %v", edge.now, minute, day, edge.minute, edge.day)
				}
			}
		})
	}
}

// Whatever binds one by one must be what is in force as a whole.
func TestWhatIsInForceAgreesWithWhatApplies(t *testing.T) {
	changed := time.Date(2026, 3, 10, 12, 0, 30, 0, time.UTC)
	rows := []Row{{RPM: 5, RPD: 50}, {Model: "new", TPD: 7, TPM: 8}}
	change := Change{Previous: []Row{{RPM: 3, RPD: 30, MaxInFlight: 2}, {Model: "gone", RPD: 1, RPM: 4}}, At: changed}
	for _, now := range []time.Time{changed, changed.Add(time.Minute), changed.Add(13 * time.Hour)} {
		minute, day := PreviousBinds(changed, now, time.UTC)
		for _, model := range []string{"new", "gone", "other"} {
			var want []Row
			for _, binding := range Applying(nil, rows, change, model) {
				row := binding.Row
				if minute {
					row.RPM, row.TPM, row.MaxInFlight = binding.Previous.RPM, binding.Previous.TPM, binding.Previous.MaxInFlight
				}
				if day {
					row.RPD, row.TPD = binding.Previous.RPD, binding.Previous.TPD
				}
				if !row.Unlimited() {
					want = append(want, row)
				}
			}
			var got []Row
			for _, row := range InForce(rows, change, now, time.UTC) {
				if (row.Model == "" || row.Model == model) && !row.Unlimited() {
					got = append(got, row)
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("at %v model %s: in force %+v, applying %+v", now, model, got, want)
			}
		}
	}
}
