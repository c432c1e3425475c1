package limiter

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"time"

	"github.com/penstockhq/penstock/limits"
)

// A snapshot is, all numbers little-endian:
//
//	"penstock limiter" and the version (1 byte)
//	seeds of the identities (4 x 8), wall time (8, ns), date (8), zone (1 + text)
//	records, each: kind (1), shard (1), identity (8), requests (4) and tokens
//	    (3 x 8) of the day, number of logs (1), logs
//	a log: token type (1), number of entries (4), entries of 10 bytes: ms until it
//	    leaves the window (4), requests (2), tokens (4)
//	kind 0, and CRC-32C of all before (4)
//
// Names and secrets are not in it. Reservations are not either: they end with
// the process that made them, and what they hold stays charged.
const (
	snapshotName    = "penstock limiter"
	snapshotVersion = 1
	entrySize       = 10

	kindEnd      = 0
	kindScope    = 1
	kindOverflow = 2 // the shared scope of keys; of models: one more
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Export writes the counters, so that the next process can continue with them. It is for
// a clean stop: calls still in flight are written as if they had used all that they
// reserved. A snapshot may be imported once only. The error is that of the writer.
func (m *Memory) Export(w io.Writer) error {
	buffered := bufio.NewWriter(w)
	sum := crc32.New(castagnoli)
	out := snapshotWriter{w: io.MultiWriter(buffered, sum)}
	out.header(m)
	for number := range m.shards {
		m.exportShard(&out, number)
	}
	out.buffer = append(out.buffer, kindEnd)
	out.flush()
	out.buffer = binary.LittleEndian.AppendUint32(out.buffer, sum.Sum32())
	out.flush()
	if out.err == nil {
		out.err = buffered.Flush()
	}
	if out.err != nil {
		return fmt.Errorf("write limiter snapshot: %w", out.err)
	}
	return nil
}

// snapshotWriter collects what one shard writes and keeps the first error.
type snapshotWriter struct {
	w      io.Writer
	buffer []byte
	err    error
}

func (o *snapshotWriter) flush() {
	if o.err == nil {
		_, o.err = o.w.Write(o.buffer)
	}
	o.buffer = o.buffer[:0]
}

func (o *snapshotWriter) header(m *Memory) {
	sh := &m.shards[0]
	sh.mu.Lock()
	today := m.calendar.today(m.now(sh))
	sh.mu.Unlock()
	little := binary.LittleEndian
	o.buffer = append(o.buffer, snapshotName...)
	o.buffer = append(o.buffer, snapshotVersion)
	for _, seed := range m.names {
		o.buffer = little.AppendUint64(o.buffer, seed)
	}
	o.buffer = little.AppendUint64(o.buffer, uint64(m.calendar.wall().UnixNano()))
	o.buffer = little.AppendUint64(o.buffer, uint64(today.date))
	zone := m.calendar.zone.String()
	zone = zone[:min(len(zone), 255)]
	o.buffer = append(o.buffer, byte(len(zone)))
	o.buffer = append(o.buffer, zone...)
	o.flush()
}

// exportShard writes the scopes of a shard. Its lock is held while they are
// encoded, not while they are written.
func (m *Memory) exportShard(o *snapshotWriter, number int) {
	sh := &m.shards[number]
	sh.mu.Lock()
	now := m.now(sh)
	today := m.calendar.today(now)
	for slot := range sh.length {
		s := sh.at(slot)
		kind := byte(kindScope)
		switch {
		case s.hash == overflowMark && sh.overflow[0] == slot+1:
			kind = kindOverflow
		case s.hash == overflowMark:
			kind = kindOverflow + 1
		case s.hash < firstIdentity:
			continue
		}
		sh.expireAll(s, floorMS(now))
		s.roll(today.number)
		o.buffer = append(o.buffer, kind, byte(number))
		o.scope(sh, s, floorMS(now))
	}
	sh.mu.Unlock()
	o.flush()
}

func (o *snapshotWriter) scope(sh *shard, s *scope, now int64) {
	little := binary.LittleEndian
	o.buffer = little.AppendUint64(o.buffer, s.hash)
	o.buffer = little.AppendUint32(o.buffer, s.dayRequests)
	for _, t := range [3]limits.TokenType{limits.Total, limits.Input, limits.Output} {
		o.buffer = little.AppendUint64(o.buffer, uint64(s.dayTokens(t)))
	}
	logs := len(o.buffer)
	o.buffer = append(o.buffer, 1)
	o.log(sh, s, limits.Total, now)
	for slot := s.sub(); slot != 0; {
		sub := sh.at(slot - 1)
		o.log(sh, sub, limits.TokenType(sub.hash), now)
		o.buffer[logs]++
		slot = sub.sub()
	}
}

// log writes the entries of a log, and what running calls hold beside it as if
// it were charged now.
func (o *snapshotWriter) log(sh *shard, s *scope, t limits.TokenType, now int64) {
	little := binary.LittleEndian
	o.buffer = append(o.buffer, byte(t))
	length := len(o.buffer)
	o.buffer = little.AppendUint32(o.buffer, 0)
	n, held := uint32(0), s.live()
	write := func(left, requests, tokens int64) {
		o.buffer = little.AppendUint32(o.buffer, uint32(left))
		o.buffer = little.AppendUint16(o.buffer, uint16(requests))
		o.buffer = little.AppendUint32(o.buffer, uint32(tokens))
		n++
	}
	sh.eachEntry(s, func(stamp, requests, tokens int64) {
		write(min(stamp+windowMS-now, windowMS), requests, tokens)
		held -= tokens
	})
	for ; held > 0; held -= maxTokens {
		write(windowMS, 0, min(held, maxTokens))
	}
	little.PutUint32(o.buffer[length:], n)
}

// eachEntry calls visit for each entry of a log, oldest first.
func (sh *shard) eachEntry(s *scope, visit func(stamp, requests, tokens int64)) {
	if s.count() == 0 {
		return
	}
	words := sh.blocks.words(s.ring)
	stamp, previous := s.expiry()-windowMS, words[s.head()]
	for i := range s.count() {
		e := words[(s.head()+i)&(len(words)-1)]
		stamp += later(previous, e)
		previous = e
		visit(stamp, entryRequests(e), entryTokens(e))
	}
}

// snapshotReader reads numbers, keeps the first error and sums what it reads.
type snapshotReader struct {
	r   io.Reader
	sum hash.Hash32
	err error
}

func (i *snapshotReader) bytes(n int) []byte {
	buffer := make([]byte, n)
	if i.err == nil {
		_, i.err = io.ReadFull(i.r, buffer)
		i.sum.Write(buffer)
	}
	return buffer
}

func (i *snapshotReader) u8() byte    { return i.bytes(1)[0] }
func (i *snapshotReader) u16() uint16 { return binary.LittleEndian.Uint16(i.bytes(2)) }
func (i *snapshotReader) u32() uint32 { return binary.LittleEndian.Uint32(i.bytes(4)) }
func (i *snapshotReader) u64() uint64 { return binary.LittleEndian.Uint64(i.bytes(8)) }

// wrong keeps the first error about the contents.
func (i *snapshotReader) wrong(format string, values ...any) {
	if i.err == nil {
		i.err = fmt.Errorf(format, values...)
	}
}

// header checks the name and version and reads what follows.
func (i *snapshotReader) header() (names hasher, taken time.Time, date int64, zone string) {
	if name := string(i.bytes(len(snapshotName))); i.err == nil && name != snapshotName {
		i.wrong("it is not a limiter snapshot at all")
	}
	if version := i.u8(); version != snapshotVersion {
		i.wrong("it has version %d, this program reads version %d", version, snapshotVersion)
	}
	for n := range names {
		names[n] = i.u64()
	}
	taken = time.Unix(0, int64(i.u64()))
	date = int64(i.u64())
	zone = string(i.bytes(int(i.u8())))
	return names, taken, date, zone
}
