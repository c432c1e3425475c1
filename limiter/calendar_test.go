package limiter

import (
	"testing"
	"time"

	"github.com/penstockhq/penstock/limits"
)

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
	rows := global(limits.Row{RPD: 1})
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
		rows := global(limits.Row{RPD: 1})
		admit(t, m, outputCall(0, rows))
		if refusal := refuse(t, m, outputCall(0, rows)); refusal.RetryAfter != want {
			t.Errorf("from midnight at %s the wait is %v, want %v", date, refusal.RetryAfter, want)
		}
	}
}
