package mediafile

import (
	"encoding/base64"
	"encoding/binary"
	"testing"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

// wav returns a file of so many samples of 16 kHz, 16 bits and one channel.
func wav(samples int) []byte {
	head := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\xff\xff\xff\x7f\x02\x00\x10\x00data\x00\x00\x00\x00")
	return append(head, make([]byte, 2*samples)...)
}

func TestSecondsOfSoundAndVideo(t *testing.T) {
	text := func(file []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(file)) }
	// The bytes of a second that the file names are a lie: decoders do not read them.
	if got := AudioSeconds(text(wav(160_000))); got != media.Exactly(11) {
		t.Errorf("a WAV file of 10 s: %+v", got)
	}
	compressed := wav(160_000)
	binary.LittleEndian.PutUint16(compressed[20:], 0x55) // MP3 in a WAV file
	if got := AudioSeconds(text(compressed)); got.Likely != 81 || got.Most != 427 {
		t.Errorf("320 kB of some kind: %+v", got)
	}
	if got := VideoSeconds(text(make([]byte, 250_000))); got.Likely != 5 || got.Most != 101 {
		t.Errorf("250 kB of video: %+v", got)
	}
}

func TestAudioIsToldFromImages(t *testing.T) {
	for _, file := range []string{string(wav(10)), "ID3\x04..............", "fLaC............", "OggS............", "\xff\xfb\x90\x64................"} {
		if !IsAudio([]byte(base64.StdEncoding.EncodeToString([]byte(file)))) {
			t.Errorf("%q is no audio", file)
		}
	}
	for name, file := range imageFiles(t, 10, 10) {
		if IsAudio([]byte(base64.StdEncoding.EncodeToString(file))) {
			t.Errorf("%s is audio", name)
		}
	}
}

func FuzzSeconds(f *testing.F) {
	f.Add([]byte(base64.StdEncoding.EncodeToString(wav(100))))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, got := range []media.Range{AudioSeconds(payload), VideoSeconds(payload)} {
			if got.Likely < 1 || got.Most < got.Likely || got.Most > int64(len(payload))+1 {
				t.Fatalf("%+v", got)
			}
		}
		IsAudio(payload)
	})
}
