package dialect

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
)

// pictureHead is how many bytes of a picture are decoded to find its size. Headers of
// JPEG may hold whole thumbnails before it; what is not found counts as unknown.
const pictureHead = 64 << 10

// pictureSize reads the width and height in pixels from the beginning of a PNG, JPEG,
// GIF or WebP file. ok is false for everything else, and for what is implausible.
func pictureSize(file []byte) (width, height int64, ok bool) {
	switch {
	case bytes.HasPrefix(file, []byte("\x89PNG\r\n\x1a\n")) && len(file) >= 24:
		width, height = int64(binary.BigEndian.Uint32(file[16:])), int64(binary.BigEndian.Uint32(file[20:]))
	case (bytes.HasPrefix(file, []byte("GIF87a")) || bytes.HasPrefix(file, []byte("GIF89a"))) && len(file) >= 10:
		width, height = int64(binary.LittleEndian.Uint16(file[6:])), int64(binary.LittleEndian.Uint16(file[8:]))
	case len(file) >= 30 && string(file[:4]) == "RIFF" && string(file[8:12]) == "WEBP":
		width, height = webpSize(file)
	case bytes.HasPrefix(file, []byte("\xff\xd8")):
		width, height = jpegSize(file)
	}
	return width, height, width > 0 && height > 0 && width < 1<<17 && height < 1<<17
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
		return int64(file[24]) | int64(file[25])<<8 | int64(file[26])<<16 + 1, int64(file[27]) | int64(file[28])<<8 | int64(file[29])<<16 + 1
	}
	return 0, 0
}

// jpegSize looks for the frame header of a JPEG file among its segments.
func jpegSize(file []byte) (width, height int64) {
	for at := 2; at+9 < len(file); {
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
		case marker == 0xda || marker == 0xd9: // the picture begins, or ends
			return 0, 0
		}
		at += 2 + int(binary.BigEndian.Uint16(file[at+2:]))
	}
	return 0, 0
}

// decodeHead decodes the beginning of a base64 text, at most limit bytes of it. A data
// URL's prefix is left out; escaped slashes are read as such.
func decodeHead(text []byte, limit int) []byte {
	if rest, ok := bytes.CutPrefix(text, []byte("data:")); ok {
		comma := bytes.IndexByte(rest[:min(len(rest), 256)], ',')
		if comma < 0 {
			return nil
		}
		text = rest[comma+1:]
	}
	text = text[:min(len(text), (limit+2)/3*4)]
	if bytes.IndexByte(text, '\\') >= 0 {
		text = bytes.ReplaceAll(text, []byte(`\/`), []byte("/"))
	}
	text = bytes.TrimRight(text, "=")
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
	n, err := base64.RawStdEncoding.Decode(out, text)
	if err != nil {
		if n2, err2 := base64.RawURLEncoding.Decode(out, text); err2 == nil {
			n = n2
		}
	}
	return out[:n]
}
