package mediafile

import (
	"bytes"
	"encoding/binary"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

const (
	// firstHead and longHead are how many bytes of an image are decoded to find its
	// size: few at first, and more where that is not enough. A JPEG may hold a whole
	// thumbnail before it; an image whose size is further behind is one of unknown size.
	firstHead = 1 << 10
	longHead  = 64 << 10
)

// ImageSize reads the size of an image from the beginning of its file, encoded as a
// data URL or in base64. ok is false where it cannot: for another address, and for what
// is no PNG, JPEG, GIF or WebP file.
//
// What it reads is what decoders go by, so that a file cannot claim a smaller size than
// the upstream sees.
func ImageSize(payload []byte) (size media.Size, ok bool) {
	var memory [firstHead]byte
	head := decodeHead(payload, memory[:0])
	size, ok = imageSize(head)
	if cut := len(head) > firstHead-3; cut && !ok && (bytes.HasPrefix(head, jpegStart) || isGIF(head)) {
		size, ok = imageSize(decodeHead(payload, make([]byte, 0, longHead)))
	}
	return size, ok
}

var jpegStart = []byte("\xff\xd8")

func isGIF(file []byte) bool {
	return bytes.HasPrefix(file, []byte("GIF87a")) || bytes.HasPrefix(file, []byte("GIF89a"))
}

// imageSize reads the size from the beginning of a file.
func imageSize(file []byte) (media.Size, bool) {
	var width, height int64
	switch {
	case bytes.HasPrefix(file, []byte("\x89PNG\r\n\x1a\n")) && len(file) >= 24:
		width, height = int64(binary.BigEndian.Uint32(file[16:])), int64(binary.BigEndian.Uint32(file[20:]))
	case isGIF(file):
		width, height = gifSize(file)
	case len(file) >= 30 && string(file[:4]) == "RIFF" && string(file[8:12]) == "WEBP":
		width, height = webpSize(file)
	case bytes.HasPrefix(file, jpegStart):
		width, height = jpegSize(file)
	}
	if width < 1 || height < 1 || width > media.MaxSide || height > media.MaxSide {
		return media.Size{}, false
	}
	return media.Size{Width: int32(width), Height: int32(height)}, true
}

// gifSize reads the size of the screen of a GIF file, and that of its first frame, which
// may be larger: decoders enlarge the screen then.
func gifSize(file []byte) (width, height int64) {
	const screen, colors = 13, 0x80 // bytes before the color table, and the bit that says there is one
	if len(file) < screen {
		return 0, 0
	}
	width, height = int64(binary.LittleEndian.Uint16(file[6:])), int64(binary.LittleEndian.Uint16(file[8:]))
	at := screen
	if file[10]&colors != 0 {
		at += 3 << (file[10]&7 + 1)
	}
	for at+10 <= len(file) {
		switch file[at] {
		case '!': // an extension: blocks of a length each, up to an empty one
			for at += 2; at < len(file) && file[at] != 0; {
				at += 1 + int(file[at])
			}
			at++
		case ',':
			right := int64(binary.LittleEndian.Uint16(file[at+1:])) + int64(binary.LittleEndian.Uint16(file[at+5:]))
			bottom := int64(binary.LittleEndian.Uint16(file[at+3:])) + int64(binary.LittleEndian.Uint16(file[at+7:]))
			return max(width, right), max(height, bottom)
		default:
			return 0, 0
		}
	}
	return 0, 0
}

// webpSize reads the size from the first chunk of a WebP file of at least 30 bytes.
func webpSize(file []byte) (width, height int64) {
	switch string(file[12:16]) {
	case "VP8 ": // lossy: 14 bits each after a frame tag and a start code
		if bytes.Equal(file[23:26], []byte{0x9d, 0x01, 0x2a}) {
			return int64(binary.LittleEndian.Uint16(file[26:]) & 0x3fff), int64(binary.LittleEndian.Uint16(file[28:]) & 0x3fff)
		}
	case "VP8L": // lossless: 14 bits each after a signature, less one
		if file[20] == 0x2f {
			bits := binary.LittleEndian.Uint32(file[21:])
			return int64(bits&0x3fff) + 1, int64(bits>>14&0x3fff) + 1
		}
	case "VP8X": // extended: 24 bits each, less one
		return uint24(file[24:]) + 1, uint24(file[27:]) + 1
	}
	return 0, 0
}

func uint24(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 }

// jpegSize looks for the frame header of a JPEG file among its segments.
func jpegSize(file []byte) (width, height int64) {
	for at := 2; at+9 <= len(file); {
		if file[at] != 0xff {
			return 0, 0
		}
		marker := file[at+1]
		switch {
		case marker == 0xff: // filling
			at++
			continue
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd7: // without a length
			at += 2
			continue
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
			return int64(binary.BigEndian.Uint16(file[at+7:])), int64(binary.BigEndian.Uint16(file[at+5:]))
		case marker == 0xda || marker == 0xd9: // the image begins, or ends
			return 0, 0
		}
		at += 2 + int(binary.BigEndian.Uint16(file[at+2:]))
	}
	return 0, 0
}
