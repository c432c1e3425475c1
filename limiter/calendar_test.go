package limiter

import (
	"testing"
	"time"
)

// TestDaysStartWhereTheDateChanges looks at every hour of some years for the
// first instant of each date, in zones with all sorts of changes.
func TestDaysStartWhereTheDateChanges(t *testing.T) {
	for _, test := range []struct {
		zone string
		year int
	}{
		{"UTC", 2026},
		{"Europe/Berlin", 2026},
		{"Africa/Cairo", 2026},      // summer time begins at midnight
		{"America/Sao_Paulo", 2017}, // both changes at midnight
		{"America/Havana", 2025},    // midnight comes twice
		{"Asia/Kathmandu", 2026},    // +05:45
		{"Australia/Lord_Howe", 2026},
		{"Pacific/Apia", 2011},     // without 30 December
		{"America/St_Johns", 2010}, // changes at one minute past midnight
		{"Pacific/Kiritimati", 1994},
	} {
		zone, err := ParseZone(test.zone)
		if err != nil {
			t.Fatal(err)
		}
		last := dateOf(time.Date(test.year, 1, 1, 0, 0, 0, 0, zone))
		for at := time.Date(test.year, 1, 1, 12, 0, 0, 0, zone); at.Year() == test.year; at = at.Add(time.Minute) {
			date := dateOf(at)
			if date <= last {
				continue
			}
			for missing := last + 1; missing <= date; missing++ {
				if start := dayStart(missing, zone); !start.Equal(at) {
					t.Errorf("%s: day %d starts at %v, want %v", test.zone, missing, start, at)
				}
			}
			last = date
		}
	}
}

func TestUnknownZonesAreErrors(t *testing.T) {
	for _, name := range []string{"Mars/Olympus", "../etc/passwd", "UTC+1:00"} {
		if _, err := ParseZone(name); err == nil {
			t.Errorf("zone %q is accepted", name)
		}
	}
}

func TestNoDateGivesItsQuotaTwice(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	rows := global(Limits{RPD: 1})
	day := 24 * time.Hour
	for _, step := range []struct {
		set  time.Duration // of the wall clock
		wait time.Duration
		want bool
	}{
		{0, 0, true},
		{-3 * day, time.Second, false},
		{3 * day, time.Second, false},
		{2 * day, time.Second, true}, // a new date
		{-2 * day, time.Second, false},
		{2 * day, time.Second, false},
		{-2 * day, time.Second, false},
		{0, day, false},
		{0, day, false},                 // the date that was ahead has come
		{0, day, true},                  // and passed
		{2000 * day, time.Second, true}, // a clock gone mad
		{-2000 * day, time.Second, false},
		{0, 6 * day, false},
		{0, day, true}, // does not stop all days for years
		{0, day, true},
	} {
		clock.set(clock.Wall().Add(step.set))
		clock.advance(step.wait)
		decision, err := m.Reserve(background, outputCall(0, rows))
		if err != nil {
			t.Fatal(err)
		}
		if decision.Admitted != step.want {
			t.Fatalf("after %+v admitted is %v at %v", step, decision.Admitted, clock.Wall())
		}
	}
}

func TestDayWaitsCoverChangesToSummerTime(t *testing.T) {
	berlin, err := ParseZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for date, want := range map[string]time.Duration{
		"2026-03-28T23:00:00Z": 23 * time.Hour,
		"2026-10-24T22:00:00Z": 25 * time.Hour,
		"2026-06-01T22:00:00Z": 24 * time.Hour,
	} {
		wall, err := time.Parse(time.RFC3339, date)
		if err != nil {
			t.Fatal(err)
		}
		m := New(WithClock(&fakeClock{wall: wall}), WithZone(berlin))
		rows := global(Limits{RPD: 1})
		admit(t, m, outputCall(0, rows))
		if refusal := refuse(t, m, outputCall(0, rows)); refusal.RetryAfter != want {
			t.Errorf("from midnight at %s the wait is %v, want %v", date, refusal.RetryAfter, want)
		}
	}
}
