package suite

import (
	"context"
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

var background = context.Background()

// driver plays one trace.
type driver struct {
	subject  *Subject
	clock    *Clock
	m        Limiter
	o        *oracle
	settings *Settings
	keys     []string
	noise    []string
	rows     []limits.Binding // for all models
	exact    bool             // entries are never merged in this trace
	timeout  time.Duration
}

var zones = []string{"UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Asia/Kathmandu"}

// starts are times near which something happens to the calendar.
var starts = []string{
	"2026-03-10T12:00:00Z", "2026-03-09T23:59:30Z", "2026-03-29T00:30:00Z", // summer time in Berlin
	"2026-10-24T23:00:00Z", "2026-11-01T03:00:00Z", // winter time in Berlin, New York
	"2026-04-23T21:00:00Z", "2026-10-29T20:30:00Z", // Cairo changes at midnight
	"2026-12-31T09:59:59.9995Z",
}

func (s *Subject) newDriver(t *rapid.T) *driver {
	zone, err := limiter.ParseZone(rapid.SampledFrom(zones).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	wall, err := time.Parse(time.RFC3339Nano, rapid.SampledFrom(starts).Draw(t, "start"))
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{
		subject: s,
		clock:   &Clock{wall: wall, monotonic: time.Duration(rapid.IntRange(0, 2_000_000).Draw(t, "clock"))},
		o:       &oracle{zone: zone, lease: s.Lease, scopes: map[scopeName]*history{}},
		exact:   rapid.Bool().Draw(t, "exact"),
		timeout: rapid.SampledFrom([]time.Duration{0, 5 * time.Second, 90 * time.Second}).Draw(t, "timeout"),
	}
	d.settings = &Settings{Clock: d.clock, Zone: zone, Entries: 64}
	d.o.strict = rapid.IntRange(0, 3).Draw(t, "strict") == 0
	d.settings.Strict = d.o.strict
	if d.exact { // one call of a billion tokens takes 17 entries
		d.settings.Entries = 32768
	} else {
		d.o.late = 2 * time.Minute / 64
	}
	var names []string
	d.m, names = s.New(t, d.settings)
	d.keys, d.noise = names[:2], names[2:12]
	d.rows = []limits.Binding{{}}
	types := []limits.TokenType{limits.Total, limits.Input, limits.Output}
	for _, model := range []string{"", "tiny", "large"} {
		for range rapid.IntRange(1, 2).Draw(t, "rows") {
			d.rows = append(d.rows, limits.Binding{Row: limits.Row{Model: model, TokenType: rapid.SampledFrom(types).Draw(t, "type")}})
		}
	}
	for i := range d.rows {
		d.rows[i].Row = d.drawLimits(t, d.rows[i].Row)
	}
	d.observe()
	return d
}

// drawLimits draws limits for the model and token type of a row, most of them unset.
// Where entries are to be merged they are wide, so that many calls get through.
func (d *driver) drawLimits(t *rapid.T, row limits.Row) limits.Row {
	draw := func(name string, values ...int64) int64 {
		return values[max(0, rapid.IntRange(-len(values), len(values)-1).Draw(t, name))]
	}
	if !d.exact {
		return limits.Row{Model: row.Model, TokenType: row.TokenType, RPM: draw("rpm", 0, 100, 200), TPM: draw("tpm", 0, 60000, 1<<40)}
	}
	return limits.Row{
		Model: row.Model, TokenType: row.TokenType,
		RPM: draw("rpm", 0, 1, 2, 7, 50, 600), TPM: draw("tpm", 0, 1, 30, 1000, 60000, 1<<40),
		RPD: draw("rpd", 0, 1, 5, 40), TPD: draw("tpd", 0, 10, 500, 100000),
		MaxInFlight: draw("in flight", 0, 1, 2, 5),
	}
}

func (d *driver) observe() { d.o.observe(d.clock.Monotonic(), d.clock.Wall()) }

// drawTokens draws an amount that has to do with the limits.
func (d *driver) drawTokens(t *rapid.T) limiter.Tokens {
	draw := func(name string) int64 {
		limit := rapid.SampledFrom(d.rows).Draw(t, "limit").Row.TPM % (1 << 30)
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return 0
		case 1:
			return limit + int64(rapid.IntRange(-1, 1).Draw(t, name))*min(limit, 1)
		case 2:
			return limit / 2
		case 3:
			return int64(rapid.SampledFrom([]int{1 << 26, 1<<26 - 1, 1 << 20, 1 << 30}).Draw(t, name))
		default:
			return int64(rapid.IntRange(1, 20).Draw(t, name))
		}
	}
	return limiter.Tokens{Input: draw("input"), Output: draw("output")}
}

func (d *driver) request(t *rapid.T) limiter.Request {
	return limiter.Request{
		Key:     rapid.SampledFrom(d.keys).Draw(t, "key"),
		Model:   rapid.SampledFrom([]string{"", "tiny", "large"}).Draw(t, "model"),
		Tokens:  d.drawTokens(t),
		Rows:    d.rows,
		Timeout: d.timeout,
	}
}

func (d *driver) reserve(t *rapid.T) { d.reserveOne(t, d.request(t)) }

// burst reserves many times in short order.
func (d *driver) burst(t *rapid.T) {
	request := d.request(t)
	gap := time.Duration(rapid.SampledFrom([]int{0, 300, 1000, 1700, 40_000, 400_000}).Draw(t, "gap")) * time.Microsecond
	undo := rapid.IntRange(0, 3).Draw(t, "undo") == 0
	for range rapid.IntRange(2, 80).Draw(t, "calls") {
		if call := d.reserveOne(t, request); call != nil {
			d.end(t, call, request.Tokens, undo)
		}
		d.move(t, gap)
	}
}

func (d *driver) reserveOne(t *rapid.T, request limiter.Request) *openCall {
	view, err := d.m.Inspect(background, request)
	if err != nil {
		t.Fatal(err)
	}
	decision, err := d.m.Reserve(background, request)
	if errors.Is(err, limiter.ErrFull) && d.exact {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if view.Admitted != decision.Admitted || view.Refusal != decision.Refusal {
		t.Fatalf("usage foretells %+v, reserve answers %+v", view, decision)
	}
	d.judge(t, request, 1, decision)
	if !decision.Admitted {
		d.checkMonotone(t, request)
		return nil
	}
	d.checkHeadroom(t, request, decision)
	return d.o.admit(request, decision.Handle)
}

// advance lets time pass, often to an edge of something that happened.
func (d *driver) advance(t *rapid.T) {
	var by time.Duration
	switch rapid.IntRange(0, 6).Draw(t, "gap") {
	case 0:
		by = time.Duration(rapid.IntRange(1, 999_999).Draw(t, "ns"))
	case 1:
		by = time.Duration(rapid.IntRange(1, 30).Draw(t, "ms")) * time.Millisecond
	case 2:
		by = time.Duration(rapid.IntRange(1, 60).Draw(t, "s")) * time.Second
	case 3:
		by = rapid.SampledFrom([]time.Duration{5 * time.Minute, time.Hour, 13 * time.Hour, 5 * time.Hour, 30 * 24 * time.Hour}).Draw(t, "long")
	case 4: // to midnight
		edge := rapid.SampledFrom([]time.Duration{-time.Millisecond, -1, 0, 1}).Draw(t, "edge")
		by = max(0, d.o.endOf(d.o.wall.Format(time.DateOnly), d.o.wall).Sub(d.o.wall)+edge)
	default:
		by = d.edge(t)
	}
	d.move(t, by)
}

// edge returns the way to the moment at which an event leaves the window, or
// nearly so.
func (d *driver) edge(t *rapid.T) time.Duration {
	h := d.o.history(rapid.SampledFrom(d.keys).Draw(t, "key"), "")
	if len(h.events) == 0 {
		return 0
	}
	e := rapid.SampledFrom(h.events).Draw(t, "event")
	edge := rapid.SampledFrom([]time.Duration{-time.Millisecond, -1, 0, 1, time.Millisecond - 1, time.Millisecond}).Draw(t, "edge")
	return max(0, e.at+time.Minute+edge-d.o.now)
}

// move lets time pass. Calls are settled before the limiter would give them up.
func (d *driver) move(t *rapid.T, by time.Duration) {
	for _, c := range slices.Clone(d.o.calls) {
		if c.deadline > 0 && d.o.now+by > c.deadline+50*time.Second {
			d.end(t, c, c.reserved(), false)
		}
	}
	d.clock.Advance(by)
	d.observe()
	d.o.forget()
}

// setClock sets the wall clock, and lets the second pass in which that may go
// unseen.
func (d *driver) setClock(t *rapid.T) {
	by := time.Duration(rapid.SampledFrom([]int{-10 * 24 * 3600, -7*24*3600 - 3600, -7 * 24 * 3600, -2 * 24 * 3600, -3600, -1, 1, 3600, 2 * 24 * 3600, 10 * 24 * 3600}).Draw(t, "by")) * time.Second
	d.clock.Set(d.clock.Wall().Add(by))
	d.move(t, time.Second)
}

func (d *driver) pick(t *rapid.T) *openCall {
	if len(d.o.calls) == 0 {
		return nil
	}
	return rapid.SampledFrom(d.o.calls).Draw(t, "call")
}

func (d *driver) settle(t *rapid.T) {
	c := d.pick(t)
	if c == nil {
		return
	}
	reserved := c.reserved()
	actual := rapid.SampledFrom([]limiter.Tokens{
		{},
		reserved,
		{Input: reserved.Input, Output: reserved.Output / 2},
		{Input: reserved.Input / 2, Output: reserved.Output * 2},
		{Input: reserved.Input + 3, Output: reserved.Output},
		{Input: reserved.Output, Output: reserved.Input},
		{Input: reserved.Input + 1<<27, Output: 1},
	}).Draw(t, "actual")
	d.end(t, c, limiter.Tokens{Input: min(actual.Input, limiter.MaxTokens), Output: min(actual.Output, limiter.MaxTokens)}, false)
}

func (d *driver) cancel(t *rapid.T) {
	if c := d.pick(t); c != nil {
		d.end(t, c, limiter.Tokens{}, true)
	}
}

// end ends a call in the limiter and the oracle, and tries to end it again.
func (d *driver) end(t *rapid.T, c *openCall, actual limiter.Tokens, undo bool) {
	if undo {
		actual = limiter.Tokens{}
	}
	act := func() error {
		if undo {
			return d.m.Cancel(background, c.handle)
		}
		return d.m.Settle(background, c.handle, actual)
	}
	if err := act(); err != nil {
		t.Fatal(err)
	}
	if err := act(); !errors.Is(err, limiter.ErrResolved) {
		t.Fatalf("the second time gives %v", err)
	}
	d.o.end(c, actual, undo)
}

func (d *driver) extend(t *rapid.T) {
	c := d.pick(t)
	if c == nil {
		return
	}
	reserved := c.reserved()
	request := c.request
	request.Rows = d.rows
	request.Tokens = limiter.Tokens{
		Input:  min(reserved.Input+int64(rapid.IntRange(-2, 2).Draw(t, "input")), limiter.MaxTokens),
		Output: min(reserved.Output+rapid.SampledFrom([]int64{0, 1, 7, 256, 1 << 27}).Draw(t, "output"), limiter.MaxTokens),
	}
	request.Tokens.Input = max(0, request.Tokens.Input)
	decision, err := d.m.(extender).Extend(background, c.handle, request)
	if err != nil {
		t.Fatal(err)
	}
	more := request
	more.Tokens = limiter.Tokens{Input: max(0, request.Tokens.Input-reserved.Input), Output: request.Tokens.Output - reserved.Output}
	if more.Tokens == (limiter.Tokens{}) {
		if !decision.Admitted {
			t.Fatalf("an extension by nothing is refused: %+v", decision)
		}
		return
	}
	d.judge(t, more, 0, decision)
	if decision.Admitted {
		d.o.charge(c, 0, more.Tokens)
	}
}

// changeLimits changes limits now, or at the next window.
func (d *driver) changeLimits(t *rapid.T) {
	later := rapid.Bool().Draw(t, "later")
	d.rows = slices.Clone(d.rows)
	for i := range d.rows {
		row := &d.rows[i]
		before := row.Row
		row.Row = d.drawLimits(t, before)
		row.Previous, row.ChangedAt = nil, time.Time{}
		if later {
			row.Previous, row.ChangedAt = &before, d.o.wall
		}
	}
}

// others lets other keys of the shard come and go.
func (d *driver) others(t *rapid.T) {
	for range rapid.IntRange(1, 60).Draw(t, "calls") {
		request := limiter.Request{Key: rapid.SampledFrom(d.noise).Draw(t, "key"), Tokens: limiter.Tokens{Input: 5}, Rows: []limits.Binding{{Row: limits.Row{RPM: 3}}}}
		decision, err := d.m.Reserve(background, request)
		if err != nil {
			t.Fatal(err)
		}
		if decision.Admitted {
			if err := d.m.Settle(background, decision.Handle, request.Tokens); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// restart goes on in a new limiter with the counters of the old one. Calls in
// flight end with the process, at what they reserved.
func (d *driver) restart(t *rapid.T) {
	d.move(t, d.clock.Monotonic().Truncate(time.Millisecond)+time.Millisecond-d.clock.Monotonic())
	if d.o.behind() {
		return // a new process does not know that the clock was ahead
	}
	d.m = d.subject.Restart(t, d.settings, d.m)
	for len(d.o.calls) > 0 {
		d.o.end(d.o.calls[0], d.o.calls[0].reserved(), false)
	}
	d.o.since = d.o.now
}
