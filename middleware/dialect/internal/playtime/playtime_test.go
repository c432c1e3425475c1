package playtime

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// wave returns a WAV file of some seconds; declared is the rate that its header claims.
func wave(seconds int, declared uint32) []byte {
	head := append([]byte("RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"), 0x80, 0x3e, 0, 0) // 16 kHz
	head = binary.LittleEndian.AppendUint32(head, declared)
	head = append(head, 2, 0, 16, 0)
	return append(append(head, "data\x00\x00\x00\x00"...), make([]byte, seconds*32000-44)...)
}

// frames returns MP3 at 128 kbit/s and 44.1 kHz: 1152 samples in 417 bytes.
func frames(count int) []byte {
	one := make([]byte, 417)
	copy(one, []byte{0xff, 0xfb, 0x90, 0xc4, 0, 0, 0})
	return bytes.Repeat(one, count)
}

// aac returns frames of 100 bytes with 1024 samples at 24 kHz.
func aac(count int) []byte {
	one := make([]byte, 100)
	copy(one, []byte{0xff, 0xf1, 6 << 2, 0x80, 100 >> 3, 100 << 5 & 0xff, 0xfc})
	return bytes.Repeat(one, count)
}

func flac(samples uint64, size int) []byte {
	file := append([]byte("fLaC\x00\x00\x00\x22"), make([]byte, size-8)...)
	binary.BigEndian.PutUint64(file[18:], 16000<<44|samples)
	return file
}

func ogg(position uint64, size int) []byte {
	file := make([]byte, size)
	copy(file, "OggS\x00\x02")
	copy(file[28:], "OpusHead")
	copy(file[size-100:], "OggS\x00\x04")
	binary.LittleEndian.PutUint64(file[size-94:], position)
	return file
}

func mp4(seconds uint32, size int) []byte {
	file := make([]byte, size)
	copy(file, "\x00\x00\x00\x18ftypM4A ")
	copy(file[60:], "mvhd\x00")
	binary.BigEndian.PutUint32(file[76:], 1000)
	binary.BigEndian.PutUint32(file[80:], seconds*1000)
	return file
}

func TestFilesSayHowLongTheyLast(t *testing.T) {
	for name, test := range map[string]struct {
		file []byte
		want time.Duration
	}{
		"WAV":                            {wave(3, 32000), 3 * time.Second},
		"WAV that claims a high rate":    {wave(3, 4_000_000_000), 3 * time.Second},
		"MP3":                            {frames(383), 10 * time.Second},
		"MP3 with a tag":                 {append([]byte("ID3\x04\x00\x00\x00\x00\x07\x76"), append(make([]byte, 1014), frames(383)...)...), 10 * time.Second},
		"AAC":                            {aac(234), 10 * time.Second},
		"FLAC":                           {flac(160_000, 100_000), 10 * time.Second},
		"FLAC that claims to be short":   {flac(1, 640_000), 10 * time.Second},
		"Opus":                           {ogg(480_000, 30_000), 10 * time.Second},
		"Opus that claims to be endless": {ogg(1<<60, 7500), 10 * time.Second},
		"MP4":                            {mp4(10, 80_000), 10 * time.Second},
		"nothing that is known":          {bytes.Repeat([]byte("x"), 40_000), 10 * time.Second},
		"nothing":                        {nil, 0},
		"half a header":                  {[]byte("RIFF\x00\x00\x00\x00WAVEfmt "), 4 * time.Millisecond},
	} {
		if got := Length(test.file).Round(100 * time.Millisecond); got != test.want.Round(100*time.Millisecond) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	if Longest(7500) != 10*time.Second || Longest(1<<62) != longest {
		t.Error("the longest is wrong")
	}
}

func TestPiecesOfASoundAreMeasuredWhileTheyPass(t *testing.T) {
	for name, test := range map[string]struct {
		sound []byte
		media string
		want  time.Duration
	}{
		"WAV":     {wave(3, 32000), "audio/wav", 3 * time.Second},
		"MP3":     {frames(383), "audio/mpeg", 10 * time.Second},
		"AAC":     {aac(234), "audio/aac", 10 * time.Second},
		"PCM":     {make([]byte, 480_000), "audio/pcm;rate=24000", 10 * time.Second},
		"Opus":    {ogg(1, 40_000), "audio/ogg", 10 * time.Second},
		"nothing": {nil, "audio/mpeg", 0},
	} {
		var stream Stream
		for rest := test.sound; len(rest) > 0; {
			piece := rest[:min(len(rest), 7)]
			stream.Add(piece)
			rest = rest[len(piece):]
		}
		if got := stream.Length(test.media).Round(100 * time.Millisecond); got != test.want || stream.Size() != int64(len(test.sound)) {
			t.Errorf("%s: %s of %d bytes, want %s", name, got, stream.Size(), test.want)
		}
	}
}

func FuzzLength(f *testing.F) {
	for _, seed := range [][]byte{wave(1, 1), frames(3), aac(3), flac(1, 100), ogg(1, 200), mp4(1, 100), []byte("ID3" + strings.Repeat("\x7f", 9))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if got := Length(file); got < 0 || got > longest {
			t.Errorf("%s", got)
		}
		var stream Stream
		stream.Add(file)
		if got := stream.Length("audio/x"); got < 0 || got > longest {
			t.Errorf("%s in pieces", got)
		}
	})
}
