package playtime

import (
	"strings"
	"time"
)

// headSize is how much of a stream is looked at to find out what a second of it takes.
const headSize = 256

// Stream says how long a sound lasts that passes in pieces. The zero Stream is ready to
// use. It is for one goroutine.
type Stream struct {
	head [headSize]byte
	kept int
	size int64
	rate int64
}

// Add takes the next piece.
func (s *Stream) Add(piece []byte) {
	s.kept += copy(s.head[s.kept:], piece)
	s.size += int64(len(piece))
}

// Size returns how many bytes have passed.
func (s *Stream) Size() int64 { return s.size }

// Length returns how long the sound lasts that has passed. media is the type of the
// content.
func (s *Stream) Length(media string) time.Duration {
	if s.rate == 0 || s.kept < headSize {
		s.rate = rateOf(s.head[:s.kept], media)
	}
	return perRate(s.size, s.rate)
}

// rateOf returns the bytes of a second, by the beginning of a stream.
func rateOf(head []byte, media string) int64 {
	if isWave(head) {
		if rate := waveRate(head); rate > 0 {
			return rate
		}
		return pcm
	}
	at := head
	if len(head) > 10 && string(head[:3]) == "ID3" {
		at = head[min(len(head), 10+int(head[8]&127)<<7+int(head[9]&127)):]
	}
	if first, ok := frameAt(at); ok {
		return max(int64(first.size)*first.rate/first.samples, least)
	}
	for _, plain := range []string{"audio/pcm", "audio/l16", "audio/x-raw"} {
		if strings.HasPrefix(strings.ToLower(media), plain) {
			return pcm
		}
	}
	if len(head) >= 22 && string(head[:4]) == "fLaC" {
		return pcm / 2
	}
	return usual
}
