package limits

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
		zone, err := time.LoadLocation(test.zone)
		if err != nil {
			t.Fatal(err)
		}
		last := DateOf(time.Date(test.year, 1, 1, 0, 0, 0, 0, zone))
		for at := time.Date(test.year, 1, 1, 12, 0, 0, 0, zone); at.Year() == test.year; at = at.Add(time.Minute) {
			date := DateOf(at)
			if date <= last {
				continue
			}
			for missing := last + 1; missing <= date; missing++ {
				if start := DayStart(missing, zone); !start.Equal(at) {
					t.Errorf("%s: day %d starts at %v, want %v", test.zone, missing, start, at)
				}
			}
			last = date
		}
	}
}
