package alerts

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// maxMarks bounds how many crossed levels are remembered. Levels below all
	// thresholds take no room, however many keys there are.
	maxMarks = 100_000
	// maxPending bounds how many key and model pairs wait to be looked at.
	maxPending = 10_000
	// MaxThreshold is the largest threshold in percent.
	MaxThreshold = 1000
	// maxRecent is how many alerts can be listed.
	maxRecent = 1000
)

// Monitor compares levels with thresholds. Observe notes whose levels moved; one
// goroutine looks at them, so that no call waits for it. A Monitor is safe for
// concurrent use.
type Monitor struct {
	source    Source
	interval  time.Duration
	now       func() time.Time
	logger    *slog.Logger
	statePath string

	mu         sync.Mutex
	thresholds []int // never changed, only replaced
	sinks      []Sink
	pending    map[subject]refusal
	dropped    int64
	recent     []Alert

	marks map[identity]mark // used by the goroutine of run alone
	stop  context.CancelFunc
	done  chan struct{}
}

// subject is a key and a model whose levels moved.
type subject struct{ keyID, model string }

// refusal is that what a key or its account has left did not cover a call. The zero
// value is none.
type refusal struct {
	of     Type // Budget or Balance
	needed int64
}

// identity is what does not change about a level. Its JSON is in state files.
type identity struct {
	Type                             Type `json:"Kind"`
	Account, KeyID, Model, TokenType string
}

// mark is the highest threshold that was reported for a level. Its JSON is in state
// files.
type mark struct {
	Period  string
	Percent int
	// Start is what of a balance had been spent when its period began.
	Start int64 `json:",omitempty"`
}

// Option changes a Monitor.
type Option func(*Monitor)

// DefaultThresholds returns the percentages that are used unless others are set.
func DefaultThresholds() []int { return []int{80, 100} }

// WithThresholds sets the percentages at which an alert is raised. The default
// is DefaultThresholds.
func WithThresholds(percent ...int) Option {
	return func(m *Monitor) { m.thresholds = percent }
}

// WithSink adds a sink.
func WithSink(sink Sink) Option {
	return func(m *Monitor) { m.sinks = append(m.sinks, sink) }
}

// WithLogger sets the log that alerts and faults of the monitor are written to. It is
// silent by default.
func WithLogger(logger *slog.Logger) Option {
	return func(m *Monitor) { m.logger = logger }
}

// WithInterval sets how often levels are looked at. The default is each second.
func WithInterval(interval time.Duration) Option {
	return func(m *Monitor) { m.interval = interval }
}

// WithClock sets the wall clock.
func WithClock(now func() time.Time) Option {
	return func(m *Monitor) { m.now = now }
}

// WithStateFile keeps a file of what was reported, so that a restart does not report
// it again.
func WithStateFile(path string) Option {
	return func(m *Monitor) { m.statePath = path }
}

// New returns a running monitor. Close ends it.
func New(source Source, options ...Option) (*Monitor, error) {
	m := &Monitor{
		source: source, thresholds: DefaultThresholds(), interval: time.Second, now: time.Now,
		logger: slog.New(slog.DiscardHandler), pending: make(map[subject]refusal), marks: make(map[identity]mark), done: make(chan struct{}),
	}
	for _, option := range options {
		option(m)
	}
	if err := m.Configure(m.thresholds, m.sinks...); err != nil {
		return nil, err
	}
	if err := m.loadState(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	go m.run(ctx)
	return m, nil
}

// Configure replaces the thresholds and the sinks. What was reported is not reported
// again.
func (m *Monitor) Configure(thresholds []int, sinks ...Sink) error {
	sorted := slices.Sorted(slices.Values(thresholds))
	for _, percent := range sorted {
		if percent < 1 || percent > MaxThreshold {
			return fmt.Errorf("alert threshold %d is not from 1 to %d percent", percent, MaxThreshold)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.thresholds, m.sinks = sorted, sinks
	return nil
}

// Observe notes that a key's levels for a model moved. It never blocks. If too many
// wait already, this one is dropped until its next call.
func (m *Monitor) Observe(keyID, model string) { m.note(subject{keyID, model}, refusal{}) }

// ObserveRefusal notes that a call of a key was refused for good because it needed
// that many micro-credits, and the key's Budget or the account's Balance, as of says,
// does not have them. The first refusal after the budget was set, or after the last
// top-up, raises an alert of the type Exhausted. It never blocks.
func (m *Monitor) ObserveRefusal(keyID, model string, of Type, needed int64) {
	m.note(subject{keyID, model}, refusal{of, needed})
}

// note lets something wait for the next look. A refusal is not forgotten because the
// same key had a call before or afterwards.
func (m *Monitor) note(moved subject, refused refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, waits := m.pending[moved]
	if !waits && len(m.pending) >= maxPending {
		m.dropped++
		return
	}
	if refused.of == "" || waits && before.of != "" && before.needed <= refused.needed {
		refused = before
	}
	m.pending[moved] = refused
}

// Recent returns the last alerts, newest first, at most limit.
func (m *Monitor) Recent(limit int) []Alert {
	m.mu.Lock()
	defer m.mu.Unlock()
	recent := slices.Clone(m.recent[max(0, len(m.recent)-limit):])
	slices.Reverse(recent)
	return recent
}

// Thresholds returns the percentages at which an alert is raised.
func (m *Monitor) Thresholds() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.thresholds
}

// Close looks at what is pending once more and ends the monitor.
func (m *Monitor) Close() {
	m.stop()
	<-m.done
}

func (m *Monitor) run(ctx context.Context) {
	defer close(m.done)
	ticker := time.NewTicker(m.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.look(ctx)
		case <-ctx.Done():
			m.look(context.WithoutCancel(ctx))
			return
		}
	}
}

// look compares everything that moved since the last time.
func (m *Monitor) look(ctx context.Context) {
	m.mu.Lock()
	pending, dropped := m.pending, m.dropped
	m.pending, m.dropped = make(map[subject]refusal), 0
	m.mu.Unlock()
	if dropped > 0 {
		m.logger.Warn("too many keys wait for their alerts, some were dropped", slog.Int64("dropped", dropped))
	}
	changed := false
	for moved, refused := range pending {
		levels, err := m.source.Levels(ctx, moved.keyID, moved.model)
		if err != nil {
			m.logger.Warn("could not look at a key for alerts", slog.String("key_id", moved.keyID), slog.Any("error", err))
			continue
		}
		for i := range levels {
			everPaid := levels[i].Limit
			changed = m.compare(&levels[i]) || changed
			if levels[i].Type == refused.of && refused.needed <= everPaid {
				changed = m.exhaust(&levels[i], refused) || changed
			}
		}
	}
	if changed {
		m.saveState()
	}
}

// compare raises an alert if a level has crossed a threshold. It returns whether a
// mark changed.
func (m *Monitor) compare(level *Level) bool {
	of := identity{level.Type, level.Account, level.KeyID, level.Model, level.TokenType}
	before, known := m.marks[of]
	next := before
	if !known || before.Period != level.Period {
		next = mark{Period: level.Period}
		if level.Type == Balance {
			next.Start = level.Used
		}
	}
	reported := next.Percent
	// A balance is measured from its last top-up on: a share of everything that was
	// ever paid in would stay near its end forever on an old account.
	level.Used, level.Limit = level.Used-next.Start, level.Limit-next.Start
	next.Percent = m.crossed(level)
	if next == before && known {
		return false
	}
	if next.Percent == 0 && level.Type != Balance {
		delete(m.marks, of)
		return known
	}
	m.remember(of, next)
	if next.Percent > reported {
		m.raise(&Alert{
			Type: level.Type, Threshold: next.Percent, Account: level.Account, KeyID: level.KeyID, Model: level.Model,
			TokenType: level.TokenType, Period: level.Period, Used: level.Used, Limit: level.Limit,
		})
	}
	return true
}

// exhaust raises an alert if a level refuses calls for the first time since its
// limit changed. It returns whether a mark changed.
func (m *Monitor) exhaust(level *Level, refused refusal) bool {
	of := identity{Type: Exhausted, Account: level.Account, KeyID: level.KeyID}
	now := mark{Period: level.Period, Percent: 100}
	if now.Period == "" {
		now.Period = strconv.FormatInt(level.Limit, 10)
	}
	if m.marks[of] == now {
		return false
	}
	m.remember(of, now)
	m.raise(&Alert{
		Type: Exhausted, Account: level.Account, KeyID: level.KeyID, Period: level.Period,
		Used: level.Used, Limit: level.Limit, Of: refused.of, Needed: refused.needed,
	})
	return true
}

// crossed returns the highest threshold that a level has reached, 0 if none.
func (m *Monitor) crossed(level *Level) (crossed int) {
	for _, threshold := range m.Thresholds() {
		if level.percent() >= threshold {
			crossed = threshold
		}
	}
	return crossed
}

// remember keeps a mark. If there is no room, marks of past periods are dropped first,
// then any others.
func (m *Monitor) remember(of identity, now mark) {
	if _, known := m.marks[of]; !known && len(m.marks) >= maxMarks {
		maps.DeleteFunc(m.marks, func(of identity, old mark) bool {
			return of.Type != Balance && old.Period != "" && old.Period < now.Period
		})
		for other := range m.marks {
			if len(m.marks) < maxMarks {
				break
			}
			delete(m.marks, other)
		}
	}
	m.marks[of] = now
}

// raise hands an alert to all sinks.
func (m *Monitor) raise(alert *Alert) {
	alert.ID, alert.At = "alert_"+rand.Text(), m.now().UTC()
	m.mu.Lock()
	if len(m.recent) >= maxRecent {
		m.recent = slices.Delete(m.recent, 0, maxRecent/10)
	}
	m.recent = append(m.recent, *alert)
	sinks := m.sinks
	m.mu.Unlock()
	text := "threshold crossed"
	if alert.Type == Exhausted {
		text = "calls are refused for lack of credit"
	}
	m.logger.Warn(text, slog.String("alert", alert.ID), slog.String("kind", string(alert.Type)),
		slog.Int("threshold_percent", alert.Threshold), slog.String("account", alert.Account), slog.String("key_id", alert.KeyID),
		slog.String("model", alert.Model), slog.Int64("used", alert.Used), slog.Int64("limit", alert.Limit),
		slog.String("of", string(alert.Of)), slog.Int64("needed", alert.Needed))
	for _, sink := range sinks {
		sink.Deliver(*alert)
	}
}
