package mediafile

import (
	"bytes"
	"encoding/binary"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

// Bytes of a second of audio and of video, as they are likely to be and at least.
const (
	usualAudioBytes = 4000 // 32 kbit/s
	leastAudioBytes = 750  // 6 kbit/s, the least of Opus
	usualVideoBytes = 62_500
	leastVideoBytes = 2500
)

// AudioSeconds returns how long a sound lasts, encoded as a data URL or in base64. A WAV
// file says how many bytes a second takes; of others their size says how long they may
// be.
func AudioSeconds(payload []byte) media.Range {
	size := int64(len(payload)) / 4 * 3
	var memory [48]byte
	if rate := wavRate(decodeHead(payload, memory[:0])); rate > 0 {
		return media.Exactly(size/rate + 1)
	}
	return media.Range{Likely: size/usualAudioBytes + 1, Most: size/leastAudioBytes + 1}
}

// wavRate returns the bytes of a second of a WAV file that is not compressed, by the
// numbers that decoders go by; 0: it is none.
func wavRate(head []byte) int64 {
	const uncompressed, floating = 1, 3
	if len(head) < 36 || string(head[:4]) != "RIFF" || string(head[8:16]) != "WAVEfmt " {
		return 0
	}
	if kind := binary.LittleEndian.Uint16(head[20:]); kind != uncompressed && kind != floating {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(head[24:])) * int64(binary.LittleEndian.Uint16(head[32:]))
}

// VideoSeconds returns how long a video of this size may last.
func VideoSeconds(payload []byte) media.Range {
	size := int64(len(payload)) / 4 * 3
	return media.Range{Likely: size/usualVideoBytes + 1, Most: size/leastVideoBytes + 1}
}

// IsAudio says that a payload is the beginning of a sound, and not of an image.
func IsAudio(payload []byte) bool {
	var memory [12]byte
	head := decodeHead(payload, memory[:0])
	return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WAVE" ||
		bytes.HasPrefix(head, []byte("ID3")) || bytes.HasPrefix(head, []byte("fLaC")) || bytes.HasPrefix(head, []byte("OggS")) ||
		len(head) > 1 && head[0] == 0xff && head[1]&0xe0 == 0xe0 && head[1] != 0xff // a frame of MPEG audio
}
