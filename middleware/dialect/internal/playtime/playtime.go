// Package playtime says how long a sound lasts, by what the file says about itself. It
// decodes nothing: a file that lies is found out by what the upstream reports.
package playtime

import (
	"bytes"
	"encoding/binary"
	"time"
)

// What a second of sound takes, in bytes.
const (
	// usual is that of a file of which nothing is known: 32 kbit/s, as speech has it.
	usual = 4000
	// most is that of the best compressed sound, 512 kbit/s.
	most = 64000
	// least is that of the smallest, 6 kbit/s.
	least = 750
	// pcm is that of samples without a header: 24 kHz, 16 bits, one channel.
	pcm = 48000
	// longest bounds every length, so that no product overflows.
	longest = 1000 * time.Hour
)

// Length returns how long a file lasts. Where it says nothing about that, or less than is
// possible, its size decides.
func Length(file []byte) time.Duration {
	told, known := told(file)
	if !known {
		return perRate(int64(len(file)), usual)
	}
	return min(max(told, perRate(int64(len(file)), most)), Longest(int64(len(file))))
}

// Longest returns how long a file of that size lasts at most.
func Longest(size int64) time.Duration { return perRate(size, least) }

func perRate(size, rate int64) time.Duration {
	if size/rate >= int64(longest/time.Second) {
		return longest
	}
	return time.Duration(size) * time.Second / time.Duration(rate)
}

// told reads the length that a file states.
func told(file []byte) (time.Duration, bool) {
	switch {
	case isWave(file):
		if rate := waveRate(file); rate > 0 {
			return perRate(int64(len(file)), rate), true
		}
	case bytes.HasPrefix(file, []byte("fLaC")) && len(file) >= 26:
		return flacLength(file)
	case bytes.HasPrefix(file, []byte("OggS")):
		return oggLength(file)
	case len(file) >= 12 && string(file[4:8]) == "ftyp":
		return mp4Length(file)
	default:
		return mp3Length(file)
	}
	return 0, false
}

func perSamples(samples uint64, rate uint64) (time.Duration, bool) {
	if rate == 0 || samples == 0 {
		return 0, false
	}
	if samples/rate >= uint64(longest/time.Second) {
		return longest, true
	}
	return time.Duration(samples*uint64(time.Second/time.Microsecond)/rate) * time.Microsecond, true
}

func isWave(file []byte) bool {
	return len(file) >= 12 && string(file[:4]) == "RIFF" && string(file[8:12]) == "WAVE"
}

// waveRate returns the bytes of a second of a WAV file, as its samples make them and
// whatever the header says beside. 0: it cannot be.
func waveRate(file []byte) int64 {
	at := bytes.Index(file[:min(len(file), 4096)], []byte("fmt "))
	if at < 0 || at+24 > len(file) {
		return 0
	}
	format := file[at+8:]
	channels, rate := int64(binary.LittleEndian.Uint16(format[2:])), int64(binary.LittleEndian.Uint32(format[4:]))
	if channels == 0 || channels > 64 || rate == 0 || rate > 768_000 {
		return 0
	}
	if kind := binary.LittleEndian.Uint16(format); kind != 1 && kind != 3 && kind != 0xfffe {
		return min(int64(binary.LittleEndian.Uint32(format[8:])), channels*rate) // compressed, a byte a sample at most
	}
	bits := int64(binary.LittleEndian.Uint16(format[14:]))
	if bits == 0 || bits > 64 {
		return 0
	}
	return channels * rate * ((bits + 7) / 8)
}

// flacLength reads the number of samples from the block that begins each file.
func flacLength(file []byte) (time.Duration, bool) {
	bits := binary.BigEndian.Uint64(file[18:])
	return perSamples(bits&(1<<36-1), bits>>44)
}

// oggLength reads the position of the last page. Opus counts 48,000 samples a second.
func oggLength(file []byte) (time.Duration, bool) {
	last := bytes.LastIndex(file, []byte("OggS"))
	if len(file) < 48 || last+14 > len(file) {
		return 0, false
	}
	rate := uint64(48_000)
	if at := bytes.Index(file[:min(len(file), 512)], []byte("\x01vorbis")); at >= 0 && at+16 <= len(file) {
		rate = uint64(binary.LittleEndian.Uint32(file[at+12:]))
	}
	position := binary.LittleEndian.Uint64(file[last+6:])
	if position == ^uint64(0) {
		return 0, false
	}
	return perSamples(position, rate)
}

// mp4Length reads the header of the movie.
func mp4Length(file []byte) (time.Duration, bool) {
	at := bytes.Index(file, []byte("mvhd"))
	if at < 0 || at+36 > len(file) {
		return 0, false
	}
	header := file[at+4:]
	if header[0] == 1 { // numbers of 64 bits
		return perSamples(binary.BigEndian.Uint64(header[24:]), uint64(binary.BigEndian.Uint32(header[20:])))
	}
	return perSamples(uint64(binary.BigEndian.Uint32(header[16:])), uint64(binary.BigEndian.Uint32(header[12:])))
}
