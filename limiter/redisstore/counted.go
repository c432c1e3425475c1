package redisstore

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// The layout of a counter and of a call in flight, as the scripts write them.
const (
	counterMagic = "P1"
	headerSize   = 102
	entrySize    = 10
	callSize     = 30
)

// reader reads little-endian numbers of a string.
type reader struct {
	text string
	at   int
}

func (r *reader) number(size int) int64 {
	var word [8]byte
	copy(word[:], r.text[r.at:r.at+size])
	r.at += size
	return int64(binary.LittleEndian.Uint64(word[:]))
}

// counter is the header of a counter.
type counter struct {
	subs, capacity, head, count int64
	requests, inFlight          int64
	held, expiry                int64
	date, dayRequests, last     int64
	day                         [3]int64
	ring                        string
}

// parseCounter reads a counter. The empty text is one that counts nothing.
func parseCounter(text string) (*counter, error) {
	c := new(counter)
	if text == "" {
		return c, nil
	}
	if len(text) < headerSize || text[:2] != counterMagic {
		return nil, fmt.Errorf("%w: %s", ErrUnfit, "the prefix is in use by data of another program, or of another version")
	}
	r := reader{text, 2}
	c.subs, _ = r.number(1), r.number(1)
	c.capacity, c.head, c.count = r.number(4), r.number(4), r.number(4)
	c.requests, c.inFlight, _, c.held, c.expiry = r.number(4), r.number(4), r.number(6), r.number(6), r.number(6)
	_, _, _, _ = r.number(6), r.number(2), r.number(4), r.number(4)
	c.date, c.dayRequests = r.number(4), r.number(4)
	c.day = [3]int64{r.number(6), r.number(6), r.number(6)}
	c.last = r.number(6)
	c.ring = text[headerSize:]
	if c.capacity < 1 || c.head >= c.capacity || c.count > c.capacity || len(c.ring)/entrySize < int(min(c.count+c.head, c.capacity)) {
		return nil, fmt.Errorf("%w: a counter under the prefix is damaged", ErrUnfit)
	}
	return c, nil
}

// log returns the events. If the clock was set back, they keep their ages.
func (c *counter) log(now int64) *limiter.CountedLog {
	log := &limiter.CountedLog{Held: c.held, Entries: make([]limiter.CountedEntry, 0, c.count)}
	stamp := c.expiry - limiter.Window.Milliseconds() - max(0, c.last-now)
	previous := uint32(0)
	for i := range c.count {
		r := reader{c.ring, int((c.head+i)%c.capacity) * entrySize}
		raw := uint32(r.number(4))
		if i > 0 {
			stamp += int64(raw - previous)
		}
		previous = raw
		log.Entries = append(log.Entries, limiter.CountedEntry{Stamp: stamp, Requests: r.number(2), Tokens: r.number(4)})
	}
	return log
}

// counted reads the counters and calls that a script returned.
func (s *Store) counted(reply []any, at *place, now moment) (*limiter.Counted, error) {
	if len(reply) != 11 {
		return nil, errStrange
	}
	counted := &limiter.Counted{Now: now.now, Wall: now.wall}
	if now.arguments == nil {
		server := timeOf(reply)
		counted.Now, counted.Wall = time.Duration(server.UnixNano()), server
	}
	counted.Date = limits.DateOf(counted.Wall.In(s.zone))
	var texts [6]string
	for i := range texts {
		texts[i], _ = reply[4+i].(string)
	}
	if err := readScope(&counted.Key, texts[:3], counted); err != nil {
		return nil, err
	}
	if err := readScope(&counted.Model, texts[3:], counted); err != nil {
		return nil, err
	}
	return counted, readCalls(counted, reply[10], at.model)
}

// readScope reads the counters of a scope. A date that is ahead of the clock stays in
// use for a week, as the scripts see it.
func readScope(scope *limiter.CountedScope, texts []string, counted *limiter.Counted) error {
	now, subs := counted.Now.Milliseconds(), int64(0)
	for t, text := range texts {
		c, err := parseCounter(text)
		if err != nil {
			return err
		}
		if t > 0 && subs>>(t-1)&1 == 0 {
			continue
		}
		if t == int(limits.Total) {
			subs, scope.InFlight, scope.Date = c.subs, c.inFlight, c.date
			scope.Day = limiter.Sums{Requests: c.dayRequests, Tokens: c.day[0], Input: c.day[1], Output: c.day[2]}
			if ahead := c.date - counted.Date; ahead > 0 && ahead <= 7 {
				counted.Date = c.date
			}
		}
		scope.Logs[t] = c.log(now)
	}
	return nil
}

// readCalls reads the calls in flight of a key.
func readCalls(counted *limiter.Counted, reply any, model string) error {
	fields, _ := reply.([]any)
	for i := 1; i < len(fields); i += 2 {
		text, _ := fields[i].(string)
		if len(text) < callSize {
			return fmt.Errorf("%w: a call under the prefix is damaged", ErrUnfit)
		}
		r := reader{text, 0}
		lapses := r.number(6)
		c := limiter.CountedCall{Deadline: r.number(6), Stamp: r.number(6)}
		_ = r.number(4)
		c.Tokens = limiter.Tokens{Input: r.number(4), Output: r.number(4)}
		c.OfModel = model != "" && text[callSize:] == model
		if lapses > counted.Now.Milliseconds() {
			counted.Calls = append(counted.Calls, c)
			continue
		}
		counted.Key.InFlight = max(0, counted.Key.InFlight-1) // the next admission ends it
		if c.OfModel {
			counted.Model.InFlight = max(0, counted.Model.InFlight-1)
		}
	}
	return nil
}
