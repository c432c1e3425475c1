package alerts

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gauge is a source whose levels a test sets.
type gauge struct {
	mu     sync.Mutex
	levels []Level
}

func (g *gauge) Levels(context.Context, string, string) ([]Level, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Level(nil), g.levels...), nil
}

func (g *gauge) set(levels ...Level) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.levels = levels
}

// reported is a sink that keeps what it gets.
type reported struct {
	mu   sync.Mutex
	text []string
}

func (s *reported) Deliver(a Alert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, fmt.Sprintf("%s %s%s %d%% %d/%d", a.Type, a.KeyID, a.Model, a.Threshold, a.Used, a.Limit))
}

// take returns what was reported since the last time.
func (s *reported) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprint(s.text)
	s.text = nil
	return text
}

// watched is a monitor that looks only when a test says so.
func watched(t *testing.T, g *gauge, options ...Option) (*Monitor, *reported) {
	t.Helper()
	sink := new(reported)
	m, err := New(g, append([]Option{WithSink(sink), WithInterval(time.Hour)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m, sink
}

func TestEachCrossingIsReportedOnce(t *testing.T) {
	g := new(gauge)
	m, sink := watched(t, g)
	defer m.Close()
	day := func(day string, used int64) Level {
		return Level{Type: DailyRequests, Account: "a", KeyID: "k", Model: "m", Period: day, Used: used, Limit: 10}
	}
	for _, step := range []struct {
		level Level
		want  string
	}{
		{day("1", 7), "[]"},
		{day("1", 8), "[requests_per_day km 80% 8/10]"},
		{day("1", 9), "[]"},
		{day("1", 10), "[requests_per_day km 100% 10/10]"},
		{day("1", 12), "[]"},
		{day("2", 1), "[]"},
		{day("2", 10), "[requests_per_day km 100% 10/10]"}, // both at once are one crossing
		{day("2", 10), "[]"},
		{day("3", 8), "[requests_per_day km 80% 8/10]"},
		{Level{Type: Budget, Account: "a", KeyID: "k", Used: 9, Limit: 10}, "[budget k 80% 9/10]"},
		{Level{Type: Budget, Account: "a", KeyID: "k", Used: 9, Limit: 20}, "[]"}, // the budget was raised
		{Level{Type: Budget, Account: "a", KeyID: "k", Used: 16, Limit: 20}, "[budget k 80% 16/20]"},
		{Level{Type: Budget, Account: "a", KeyID: "other", Used: 1, Limit: 1}, "[budget other 100% 1/1]"},
		{Level{Type: Budget, Account: "a", KeyID: "k", Used: 1 << 52, Limit: 1<<53 - 1}, "[]"},
	} {
		g.set(step.level)
		m.Observe("k", "m")
		m.look(t.Context())
		if got := sink.take(); got != step.want {
			t.Errorf("%+v reported %s, want %s", step.level, got, step.want)
		}
	}
	if recent := m.Recent(2); len(recent) != 2 || recent[0].KeyID != "other" || recent[1].Used != 16 || recent[0].ID == recent[1].ID {
		t.Errorf("the last alerts are %+v", recent)
	}
}

func TestABalanceIsMeasuredFromItsLastTopUpOn(t *testing.T) {
	g := new(gauge)
	m, sink := watched(t, g)
	defer m.Close()
	for _, step := range []struct {
		spent, ever int64
		want        string
	}{
		{0, 100, "[]"},
		{79, 100, "[]"},
		{80, 100, "[balance  80% 80/100]"},
		{80, 1080, "[]"}, // topped up by 1000: 1000 are left of which nothing is spent
		{879, 1080, "[]"},
		{880, 1080, "[balance  80% 800/1000]"},
		{1080, 1080, "[balance  100% 1000/1000]"},
		{1080, 1090, "[]"},
		{1090, 1090, "[balance  100% 10/10]"},
	} {
		g.set(Level{Type: Balance, Account: "a", Used: step.spent, Limit: step.ever, Period: fmt.Sprint(step.ever)})
		m.Observe("k", "m")
		m.look(t.Context())
		if got := sink.take(); got != step.want {
			t.Errorf("%d of %d reported %s, want %s", step.spent, step.ever, got, step.want)
		}
	}
}

func TestWhatRefusesCallsIsReportedOnce(t *testing.T) {
	g, file := new(gauge), filepath.Join(t.TempDir(), "alerts.json")
	m, sink := watched(t, g, WithStateFile(file))
	for _, step := range []struct {
		budget, spent, ever int64
		of                  Type
		needed              int64
		want                string
	}{
		{100, 72, 1000, Budget, 30, "[exhausted k 0% 72/100]"},
		{100, 72, 1000, Budget, 30, "[]"},
		{100, 73, 1000, "", 0, "[]"}, // a smaller call has run
		{100, 73, 1000, Budget, 28, "[]"},
		{200, 73, 1000, Budget, 128, "[exhausted k 0% 73/200]"}, // the budget was raised, and does not do
		{200, 73, 1000, Budget, 201, "[]"},
		{200, 73, 1000, Balance, 928, "[exhausted  0% 1/928]"},
		{200, 73, 1000, Balance, 928, "[]"},
		{200, 73, 1100, Balance, 1101, "[]"}, // no balance there was would have done
		{200, 73, 1100, Balance, 1099, "[exhausted  0% 0/1027]"},
	} {
		g.set(Level{Type: Budget, Account: "a", KeyID: "k", Used: step.spent, Limit: step.budget},
			Level{Type: Balance, Account: "a", Used: step.spent, Limit: step.ever, Period: fmt.Sprint(step.ever)})
		if step.of == "" {
			m.Observe("k", "m")
		} else {
			m.ObserveRefusal("k", "m", step.of, step.needed)
			m.Observe("k", "m")
		}
		m.look(t.Context())
		if got := sink.take(); got != step.want {
			t.Errorf("%+v reported %s", step, got)
		}
	}
	if last := m.Recent(1)[0]; last.Type != Exhausted || last.Of != Balance || last.Needed != 1099 || last.Account != "a" {
		t.Errorf("%+v", last)
	}
	m.Close()
	m, sink = watched(t, g, WithStateFile(file))
	defer m.Close()
	m.ObserveRefusal("k", "m", Balance, 1099)
	m.look(t.Context())
	if got := sink.take(); got != "[]" {
		t.Errorf("after a restart reported %s", got)
	}
}

func TestARestartDoesNotReportAgain(t *testing.T) {
	g, file := new(gauge), filepath.Join(t.TempDir(), "alerts.json")
	g.set(Level{Type: Budget, Account: "a", KeyID: "k", Used: 9, Limit: 10},
		Level{Type: Balance, Account: "a", Used: 50, Limit: 150, Period: "150"})
	m, sink := watched(t, g, WithStateFile(file))
	m.Observe("k", "m")
	m.Close()
	if got := sink.take(); got != "[budget k 80% 9/10]" {
		t.Fatalf("reported %s", got)
	}
	g.set(Level{Type: Budget, Account: "a", KeyID: "k", Used: 10, Limit: 10},
		Level{Type: Balance, Account: "a", Used: 130, Limit: 150, Period: "150"})
	m, sink = watched(t, g, WithStateFile(file))
	m.Observe("k", "m")
	m.Close()
	if got := sink.take(); got != "[budget k 100% 10/10 balance  80% 80/100]" {
		t.Errorf("after the restart reported %s", got)
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	m, _ := watched(t, new(gauge))
	defer m.Close()
	for i := range maxPending + 10 {
		m.Observe(fmt.Sprint(i), "m")
	}
	if m.dropped != 10 || len(m.pending) != maxPending {
		t.Errorf("%d wait, %d dropped", len(m.pending), m.dropped)
	}
	for i := range maxMarks + 10 {
		m.remember(identity{KeyID: fmt.Sprint(i)}, mark{Period: "1"})
	}
	if len(m.marks) > maxMarks {
		t.Errorf("%d marks", len(m.marks))
	}
}

func TestThresholdsOutOfRangeAreRefused(t *testing.T) {
	for _, percent := range []int{0, -1, 1001} {
		if m, err := New(new(gauge), WithThresholds(percent)); err == nil {
			m.Close()
			t.Errorf("%d%% was accepted", percent)
		}
	}
}
