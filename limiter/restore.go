package limiter

import (
	"bufio"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"math"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// Import reads what Export wrote. It must come before the first call; a limiter
// that counts already gives ErrInUse. A snapshot that is damaged, cut short,
// foreign or of another version gives an error that wraps ErrSnapshot, and
// changes nothing.
//
// The time since the export counts: by the wall clock, or not at all if that was
// set back. Day counters of the day of the export go on if that day, in the zone
// that now applies, is still today.
func (m *Memory) Import(r io.Reader) error {
	in := snapshotReader{r: bufio.NewReader(r), sum: crc32.New(castagnoli)}
	loading := &Memory{clock: m.clock, start: m.start, strict: m.strict, entries: m.entries, maxKeys: m.maxKeys}
	for n := range loading.shards {
		loading.shards[n].entries, loading.shards[n].slot = m.shards[n].entries, m.shards[n].slot
	}
	now := m.now(&loading.shards[0])
	today := m.calendar.today(now)
	names, taken, date, zone := in.header()
	if zone != m.calendar.zone.String() {
		date = limits.DateOf(taken.In(m.calendar.zone)) // its counters go on under this date
	}
	load := loader{
		m: loading, in: &in, now: ceilMS(now), today: today.number,
		elapsed: max(0, today.at(now).Sub(taken).Milliseconds()),
		// A date in the future is that of a clock that has been set right since.
		current: date >= today.date,
	}
	for in.err == nil && load.record() {
	}
	want := in.sum.Sum32()
	if sum := in.u32(); sum != want {
		in.wrong("its checksum does not match")
	}
	if in.err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, in.err)
	}
	return m.install(loading, names, taken)
}

// install takes over the shards that were loaded.
func (m *Memory) install(loaded *Memory, names hasher, taken time.Time) error {
	for n := range m.shards {
		m.shards[n].mu.Lock()
		defer m.shards[n].mu.Unlock()
		if m.shards[n].length > 0 || m.shards[n].open.issued > 0 {
			return ErrInUse
		}
	}
	for n := range m.shards {
		to, from := &m.shards[n], &loaded.shards[n]
		to.index, to.chunks, to.length, to.free = from.index, from.chunks, from.length, from.free
		to.blocks, to.overflow = from.blocks, from.overflow
	}
	m.names, m.imported = names, taken
	m.scopes.Store(loaded.scopes.Load())
	return nil
}

// loader builds shards from the records of a snapshot.
type loader struct {
	m       *Memory
	in      *snapshotReader
	now     int64 // ms, rounded up
	elapsed int64 // ms since the export
	today   uint16
	current bool // the day counters are those of today
}

// record reads one record and returns false at the end.
func (l *loader) record() bool {
	kind := l.in.u8()
	if l.in.err != nil || kind == kindEnd {
		return false
	}
	if kind > kindOverflow+1 {
		l.in.wrong("it has a record of unknown kind %d", kind)
		return false
	}
	sh := &l.m.shards[l.in.u8()]
	identity := l.in.u64()
	slot := sh.take()
	s := sh.at(slot)
	switch {
	case l.in.err != nil:
		return false
	case kind == kindScope:
		if identity < firstIdentity || sh.find(identity) != 0 {
			l.in.wrong("it names a scope twice or wrongly")
			return false
		}
		*s = scope{hash: identity}
		sh.insert(identity, slot)
		l.m.scopes.Add(1)
	case sh.overflow[kind-kindOverflow] != 0:
		l.in.wrong("it has two shared scopes in one place")
		return false
	default:
		*s = scope{hash: overflowMark}
		sh.overflow[kind-kindOverflow] = slot + 1
	}
	l.day(s)
	for n := range l.in.u8() {
		l.log(sh, s, n)
	}
	return l.in.err == nil
}

// day reads the day counters and drops those of a day that has passed.
func (l *loader) day(s *scope) {
	requests := l.in.u32()
	var tokens [3]int64
	for n := range tokens {
		if tokens[n] = int64(l.in.u64()); tokens[n] < 0 || tokens[n] > maxSum {
			l.in.wrong("it has a day with %d tokens", tokens[n])
			return
		}
	}
	if l.current {
		s.roll(l.today)
		s.dayRequests = requests
		s.addDay(tokens[0], tokens[1], tokens[2])
	}
}

// log reads a log into a scope, or into a sub-counter of it.
func (l *loader) log(sh *shard, s *scope, position byte) {
	t := limits.TokenType(l.in.u8())
	if t > limits.Output || (t == limits.Total) != (position == 0) || position > 2 {
		l.in.wrong("it has a log of unknown kind %d", t)
		return
	}
	if t != limits.Total {
		slot := sh.take()
		sub := sh.at(slot)
		*sub = scope{hash: uint64(t)}
		sub.setSub(s.sub())
		s.setSub(slot + 1)
		s = sub
	}
	last := int64(0)
	for range l.in.u32() {
		left, requests, tokens := int64(l.in.u32()), int64(l.in.u16()), int64(l.in.u32())
		if l.in.err != nil {
			return
		}
		if left < last || left > windowMS || requests > maxRequests || tokens > maxTokens {
			l.in.wrong("it has an entry of %d requests and %d tokens for %d ms", requests, tokens, left)
			return
		}
		last = left
		if left > l.elapsed {
			sh.add(s, l.now+left-l.elapsed-windowMS, requests, tokens)
		}
	}
}

// PastCall is a call of an earlier process, as the ledger knows it.
type PastCall struct {
	Key    string
	Model  string // empty: count it for the key alone
	At     time.Time
	Tokens Tokens // that were used
}

// RestoreSince returns from when on Restore needs to know the past calls: since
// midnight, or for the last minute.
func (m *Memory) RestoreSince() time.Time {
	now, today := m.present()
	wall := today.at(now)
	since := limits.DayStart(today.date, m.calendar.zone)
	if minute := wall.Add(-Window); minute.Before(since) {
		since = minute
	}
	return since
}

func (m *Memory) present() (int64, *day) {
	sh := &m.shards[0]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := m.now(sh)
	return now, m.calendar.today(now)
}

// Restore counts calls of an earlier process, oldest first: those of today
// towards the day, those of the last minute towards the window too. Calls up to
// the export of a snapshot that was imported are in there already and are
// skipped, so that after any stop the same two steps are right: Import, if there
// is a snapshot, then Restore with all calls since RestoreSince.
//
// After an unclean stop the counters lack the calls that were in flight and that
// the ledger does not know: at most what those had reserved. A call counts from
// its entry's time, which is its end, and for the day of its end.
//
// Calls may be served meanwhile. Errors: *ValueError for negative tokens.
func (m *Memory) Restore(calls iter.Seq[PastCall]) error {
	var err error
	for past := range calls {
		if past.Tokens.Input < 0 || past.Tokens.Output < 0 {
			err = errors.Join(err, checkTokens(past.Tokens))
			continue
		}
		if m.imported.IsZero() || past.At.After(m.imported) {
			m.restore(past)
		}
	}
	return err
}

func (m *Memory) restore(past PastCall) {
	hash := m.names.key(past.Key)
	e := evaluation{m: m, sh: &m.shards[shardNumber(hash)], requests: 1, want: Tokens{
		Input:  min(past.Tokens.Input, MaxTokens),
		Output: min(past.Tokens.Output, MaxTokens),
	}}
	e.sh.mu.Lock()
	defer e.sh.mu.Unlock()
	e.read()
	today := limits.DateOf(past.At.In(m.calendar.zone)) >= e.day.date
	left := int64(Window) - max(0, int64(e.day.at(e.now).Sub(past.At)))
	if !today && left <= 0 {
		return
	}
	slot := m.scope(e.sh, hash, 0, e.day.number, e.ms, 0)
	e.key = e.sh.at(slot - 1)
	if past.Model != "" {
		e.model = e.sh.at(m.scope(e.sh, m.names.model(hash, past.Model), 1, e.day.number, e.ms, slot) - 1)
	}
	e.freshen()
	if e.full() {
		return
	}
	e.chargePast(today, ceilMS(e.now+left)-windowMS)
}

// chargePast counts a call of the past in its scopes. A stamp before that of the
// newest entry is not possible: the call then counts as long as that.
func (e *evaluation) chargePast(today bool, stamp int64) {
	for _, s := range [2]*scope{e.key, e.model} {
		if s == nil {
			continue
		}
		if today {
			s.dayRequests += min(1, math.MaxUint32-s.dayRequests)
			s.addDay(e.want.Of(limits.Total), e.want.Input, e.want.Output)
		}
		e.addPast(s, stamp, 1, e.want.Of(limits.Total))
		for slot := s.sub(); slot != 0; {
			sub := e.sh.at(slot - 1)
			e.addPast(sub, stamp, 0, e.want.Of(limits.TokenType(sub.hash)))
			slot = sub.sub()
		}
	}
}

func (e *evaluation) addPast(s *scope, stamp, requests, tokens int64) {
	if s.count() > 0 {
		stamp = max(stamp, e.sh.emptyAt(s, e.ms)-windowMS)
	}
	if stamp+windowMS > e.ms {
		e.sh.add(s, stamp, requests, tokens)
	}
}
