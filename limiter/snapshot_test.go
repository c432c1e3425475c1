package limiter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"testing"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// restart exports a limiter and imports the snapshot into a new one, away later.
func restart(t *testing.T, m *Memory, clock *fakeClock, away time.Duration, options ...Option) (*Memory, *fakeClock) {
	t.Helper()
	var snapshot bytes.Buffer
	if err := m.Export(&snapshot); err != nil {
		t.Fatal(err)
	}
	after := &fakeClock{wall: clock.Wall().Add(away)} // the monotonic clock starts anew
	next := New(append(options, WithClock(after))...)
	if err := next.Import(&snapshot); err != nil {
		t.Fatal(err)
	}
	return next, after
}

func usage(t *testing.T, m *Memory, request Request) State {
	t.Helper()
	usage, err := m.Inspect(background, request)
	if err != nil {
		t.Fatal(err)
	}
	return usage
}

func TestCleanRestartKeepsWindowsAndDays(t *testing.T) {
	for _, strict := range [][]Option{nil, {WithStrict()}} {
		clock := newFakeClock()
		m := New(append(strict, WithClock(clock))...)
		rows := []limits.Binding{
			{Row: limits.Row{RPM: 2, TPM: 100, TPD: 1000}},
			{Row: limits.Row{Model: "tiny", TPM: 60, RPD: 5, TokenType: limits.Input}},
		}
		request := Request{Key: "key", Model: "tiny", Tokens: Tokens{Input: 20, Output: 10}, Rows: rows}
		settle(t, m, admit(t, m, request), request.Tokens)
		clock.advance(20 * time.Second)
		settle(t, m, admit(t, m, request), Tokens{Input: 30, Output: 15})
		before := usage(t, m, request)
		next, after := restart(t, m, clock, 0, strict...)
		if now := usage(t, next, request); !slices.EqualFunc(now.Scopes, before.Scopes, sameSums) {
			t.Errorf("after the restart usage is\n%+v, want\n%+v", now, before)
		}
		if refusal := refuse(t, next, request); refusal.RetryAfter != 40*time.Second {
			t.Errorf("after the restart the wait is %v, want 40s", refusal.RetryAfter)
		}
		after.advance(40 * time.Second)
		settle(t, next, admit(t, next, request), request.Tokens)
		again, _ := restart(t, next, after, 25*time.Second, strict...)
		if used := usage(t, again, request).Scopes[1]; used.Window.Requests != 1 || used.Day.Requests != 3 {
			t.Errorf("after 25s away the model has %+v, want 1 request in the window and 3 in the day", used)
		}
	}
}

func sameSums(a, b ScopeState) bool {
	return a.Window == b.Window && a.Day == b.Day && a.Empties == b.Empties
}

func TestStopWithCallsInFlightKeepsWhatTheyReserved(t *testing.T) {
	for _, strict := range [][]Option{nil, {WithStrict()}} {
		clock := newFakeClock()
		m := New(append(strict, WithClock(clock))...)
		rows := global(limits.Row{TPM: 300 << 20, MaxInFlight: 1})
		handle := admit(t, m, outputCall(200<<20, rows))
		next, _ := restart(t, m, clock, time.Second, strict...)
		if used := usage(t, next, outputCall(0, rows)).Scopes[0]; used.Window.Tokens != 200<<20 || used.InFlight != 0 {
			t.Errorf("usage is %+v, want 200 Mi tokens and nothing in flight", used)
		}
		if err := next.Settle(background, handle, Tokens{}); !errors.Is(err, ErrForged) {
			t.Errorf("settling a call of the last process gives %v, want ErrForged", err)
		}
	}
}

func TestDaysOfASnapshotEndWithTheDay(t *testing.T) {
	for _, test := range []struct {
		name string
		away time.Duration
		zone string
		want int64
	}{
		{"same day", 11 * time.Hour, "UTC", 1},
		{"next day", 12 * time.Hour, "UTC", 0},
		{"clock set back two days", -48 * time.Hour, "UTC", 1},
		{"another zone with the same date", time.Hour, "America/New_York", 1},
		{"another zone with a later date", time.Hour, "Pacific/Kiritimati", 1},
		{"another zone, where a day has passed", 23 * time.Hour, "Pacific/Kiritimati", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			zone, err := ParseZone(test.zone)
			if err != nil {
				t.Fatal(err)
			}
			clock := newFakeClock()
			m := New(WithClock(clock))
			admit(t, m, outputCall(1, nil))
			next, _ := restart(t, m, clock, test.away, WithZone(zone))
			if day := usage(t, next, outputCall(1, nil)).Scopes[0].Day; day.Requests != test.want {
				t.Errorf("%d requests are in the day, want %d", day.Requests, test.want)
			}
		})
	}
}

func TestUnusableSnapshotsAreRefusedWhole(t *testing.T) {
	m := New()
	for i := range 50 {
		admit(t, m, Request{Key: string(rune('a' + i)), Tokens: Tokens{Input: 7}, Rows: global(limits.Row{TokenType: limits.Input})})
	}
	var snapshot bytes.Buffer
	if err := m.Export(&snapshot); err != nil {
		t.Fatal(err)
	}
	good := snapshot.Bytes()
	try := func(name string, data []byte) {
		t.Helper()
		next := New()
		if err := next.Import(bytes.NewReader(data)); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: error is %v, want ErrSnapshot", name, err)
		}
		if next.scopes.Load() != 0 {
			t.Errorf("%s: the limiter holds %d scopes", name, next.scopes.Load())
		}
	}
	try("nothing", nil)
	try("something else", bytes.Repeat([]byte("SQLite format 3"), 100))
	for _, n := range []int{10, len(snapshotName) + 3, 100, len(good) / 2, len(good) - 1} {
		try("cut short", good[:n])
	}
	for i := 0; i < len(good); i += 7 {
		damaged := bytes.Clone(good)
		damaged[i] ^= 0x40
		try("damaged", damaged)
	}
	if err := m.Import(bytes.NewReader(good)); !errors.Is(err, ErrInUse) {
		t.Errorf("import into a limiter in use gives %v, want ErrInUse", err)
	}
}

// FuzzImport feeds damaged snapshots with a checksum that is right: they must be
// refused, or be counters that work and can be exported again.
func FuzzImport(f *testing.F) {
	m := New(WithClock(newFakeClock()))
	admit := func(key string) {
		if _, err := m.Reserve(background, Request{Key: key, Tokens: Tokens{Input: 7}, Rows: global(limits.Row{TokenType: limits.Input})}); err != nil {
			f.Fatal(err)
		}
	}
	admit("one")
	admit("two")
	var snapshot bytes.Buffer
	if err := m.Export(&snapshot); err != nil {
		f.Fatal(err)
	}
	f.Add(snapshot.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		body := data[:max(0, len(data)-4)]
		data = binary.LittleEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
		next := New(WithClock(newFakeClock()))
		if err := next.Import(bytes.NewReader(data)); err != nil && !errors.Is(err, ErrSnapshot) {
			t.Fatal(err)
		}
		for _, key := range []string{"one", "two", "new"} {
			call := Request{Key: key, Tokens: Tokens{Input: 7}, Rows: global(limits.Row{TPM: 100, TPD: 100, TokenType: limits.Input})}
			seen, err := next.Inspect(background, call)
			if err != nil {
				t.Fatal(err)
			}
			got, err := next.Reserve(background, call)
			if err == nil && (got.Admitted != seen.Admitted || got.Refusal != seen.Refusal) || err != nil && !errors.Is(err, ErrFull) {
				t.Fatalf("usage says %v %+v, the call gets %v %+v, %v", seen.Admitted, seen.Refusal, got.Admitted, got.Refusal, err)
			}
		}
		var again bytes.Buffer
		if err := next.Export(&again); err != nil {
			t.Fatal(err)
		}
		if err := New(WithClock(newFakeClock())).Import(&again); err != nil {
			t.Fatalf("what was exported cannot be imported: %v", err)
		}
	})
}

func TestRestoreRebuildsDaysAndWindowsFromPastCalls(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	now := clock.Wall()
	past := []PastCall{
		{"key", "", now.Add(-13 * time.Hour), Tokens{1, 1}}, // yesterday
		{"key", "tiny", now.Add(-2 * time.Hour), Tokens{10, 20}},
		{"other", "", now.Add(-time.Minute), Tokens{5, 5}},
		{"key", "tiny", now.Add(-20 * time.Second), Tokens{100, 200}},
		{"key", "", now.Add(-10 * time.Second), Tokens{1000, 2000}},
	}
	if since := m.RestoreSince(); !since.Equal(now.Truncate(24 * time.Hour)) {
		t.Errorf("past calls are wanted since %v, want midnight", since)
	}
	if err := m.Restore(slices.Values(past)); err != nil {
		t.Fatal(err)
	}
	rows := []limits.Binding{{Row: limits.Row{TPM: 3400}}, {Row: limits.Row{Model: "tiny", TPD: 1000, TokenType: limits.Input}}}
	got := usage(t, m, Request{Key: "key", Model: "tiny", Rows: rows, Tokens: Tokens{Input: 300}})
	if want := (Sums{2, 3300, -1, -1}); got.Scopes[0].Window != want {
		t.Errorf("the key's window is %+v, want %+v", got.Scopes[0].Window, want)
	}
	if want := (Sums{3, 3330, 1110, 2220}); got.Scopes[0].Day != want {
		t.Errorf("the key's day is %+v, want %+v", got.Scopes[0].Day, want)
	}
	if want := (Sums{2, 330, 110, 220}); got.Scopes[1].Day != want {
		t.Errorf("the model's day is %+v, want %+v", got.Scopes[1].Day, want)
	}
	if got.Refusal.RetryAfter != 40*time.Second {
		t.Errorf("the wait is %v, want 40s", got.Refusal.RetryAfter)
	}
	var value *ValueError
	if err := m.Restore(slices.Values([]PastCall{{Tokens: Tokens{Input: -1}}})); !errors.As(err, &value) {
		t.Errorf("a call of -1 tokens gives %v", err)
	}
}

func TestRestoreSkipsWhatTheSnapshotHolds(t *testing.T) {
	clock := newFakeClock()
	m := New(WithClock(clock))
	settle(t, m, admit(t, m, outputCall(10, nil)), Tokens{Output: 10})
	first := PastCall{Key: "key", At: clock.Wall(), Tokens: Tokens{Output: 10}}
	next, after := restart(t, m, clock, 5*time.Second)
	second := PastCall{Key: "key", At: after.Wall().Add(-time.Second), Tokens: Tokens{Output: 5}}
	if err := next.Restore(slices.Values([]PastCall{first, second})); err != nil {
		t.Fatal(err)
	}
	if day := usage(t, next, outputCall(0, nil)).Scopes[0].Day; day.Tokens != 15 {
		t.Errorf("%d tokens are in the day, want 15", day.Tokens)
	}
}
