package playtime

import (
	"bytes"
	"time"
)

// frame is what the header of a frame of MP3 or of AAC says.
type frame struct {
	size    int // bytes, header included
	samples int64
	rate    int64
}

// mp3Length adds up the frames of an MP3 or AAC file.
func mp3Length(file []byte) (time.Duration, bool) {
	at := 0
	if bytes.HasPrefix(file, []byte("ID3")) && len(file) >= 10 {
		at = 10 + int(file[6]&127)<<21 + int(file[7]&127)<<14 + int(file[8]&127)<<7 + int(file[9]&127)
	}
	var sum time.Duration
	frames := 0
	for at < len(file) {
		next, ok := frameAt(file[at:])
		if !ok {
			break
		}
		at += next.size
		frames++
		sum += time.Duration(next.samples * int64(time.Second) / next.rate)
	}
	if frames < 2 && at < len(file) {
		return 0, false // two bytes may look like a frame by chance
	}
	if rest := len(file) - at; rest > 4096 { // something follows that is no tag
		sum += perRate(int64(rest), usual)
	}
	return min(sum, longest), frames > 0
}

// bitrates are those of MPEG 1 and of MPEG 2, layer 3, in kbit/s.
var bitrates = [2][16]int{
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0},
}

// mpegRates and aacRates are samples a second.
var (
	mpegRates = [4]int64{44100, 48000, 32000, 0}
	aacRates  = [16]int64{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
)

// frameAt reads the header of a frame.
func frameAt(data []byte) (frame, bool) {
	if len(data) < 7 || data[0] != 0xff || data[1]&0xe0 != 0xe0 {
		return frame{}, false
	}
	if data[1]&0xf6 == 0xf0 { // AAC
		size := int(data[3]&3)<<11 | int(data[4])<<3 | int(data[5])>>5
		rate := aacRates[data[2]>>2&15]
		return frame{size, 1024, rate}, size >= 7 && rate > 0
	}
	version, layer := data[1]>>3&3, data[1]>>1&3 // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
	if version == 1 || layer != 1 {
		return frame{}, false
	}
	old, rate, samples := 1, mpegRates[data[2]>>2&3], int64(576)
	switch version {
	case 3:
		old, samples = 0, 1152
	case 2:
		rate /= 2
	default:
		rate /= 4
	}
	bitrate := bitrates[old][data[2]>>4]
	if rate == 0 || bitrate == 0 {
		return frame{}, false
	}
	size := int(samples) / 8 * bitrate * 1000 / int(rate)
	return frame{size + int(data[2]>>1&1), samples, rate}, size > 4
}
