package dialect

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

// pictureFiles makes a picture of a size in each format.
func pictureFiles(t testing.TB, width, height int) map[string][]byte {
	t.Helper()
	canvas := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Black, color.White})
	files := map[string][]byte{}
	for name, encode := range map[string]func(*bytes.Buffer) error{
		"PNG":  func(b *bytes.Buffer) error { return png.Encode(b, canvas) },
		"JPEG": func(b *bytes.Buffer) error { return jpeg.Encode(b, canvas, nil) },
		"GIF":  func(b *bytes.Buffer) error { return gif.Encode(b, canvas, nil) },
	} {
		var file bytes.Buffer
		if err := encode(&file); err != nil {
			t.Fatal(err)
		}
		files[name] = file.Bytes()
	}
	// A JPEG of a camera has a long segment before the frame header.
	long := append([]byte{0xff, 0xd8, 0xff, 0xe1, 0x80, 0x02}, make([]byte, 0x8000)...)
	files["JPEG of a camera"] = append(append(long, 0xff), files["JPEG"][2:]...)
	riff := func(chunk string, content ...byte) []byte {
		return append(append([]byte("RIFF\x00\x00\x00\x00WEBP"+chunk), 0, 0, 0, 0), append(content, make([]byte, 20)...)...)
	}
	size := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(width)), uint16(height))
	files["WebP, lossy"] = riff("VP8 ", append([]byte{0, 0, 0, 0x9d, 0x01, 0x2a}, size...)...)
	files["WebP, lossless"] = riff("VP8L", binary.LittleEndian.AppendUint32([]byte{0x2f}, uint32(width-1)|uint32(height-1)<<14)...)
	w, h := width-1, height-1
	files["WebP, extended"] = riff("VP8X", 0, 0, 0, 0, byte(w), byte(w>>8), byte(w>>16), byte(h), byte(h>>8), byte(h>>16))
	return files
}

func TestPicturesTellTheirSize(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {640, 480}, {300, 1777}} {
		for name, file := range pictureFiles(t, size[0], size[1]) {
			width, height, ok := pictureSize(file)
			if !ok || width != int64(size[0]) || height != int64(size[1]) {
				t.Errorf("%s of %v: %d by %d, %v", name, size, width, height, ok)
			}
			for end := range min(len(file), 40) {
				if _, _, ok := pictureSize(file[:end]); ok && name != "GIF" && end < 20 {
					t.Errorf("%s: a size is read out of %d bytes", name, end)
				}
			}
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding} {
				for _, prefix := range []string{"", "data:image/png;base64,"} {
					payload := []byte(prefix + encoding.EncodeToString(file))
					if w, h, ok := pictureSize(decodeHead(payload, pictureHead)); !ok || w != width || h != height {
						t.Errorf("%s in base64: %d by %d, %v", name, w, h, ok)
					}
				}
			}
		}
	}
}

func FuzzPicture(f *testing.F) {
	for _, file := range pictureFiles(f, 30, 20) {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if width, height, ok := pictureSize(file); ok && (width < 1 || height < 1 || width >= 1<<17 || height >= 1<<17) {
			t.Fatalf("%d by %d", width, height)
		}
		if head := decodeHead(file, 100); len(head) > 102 {
			t.Fatalf("%d bytes are decoded", len(head))
		}
		if count := picture.estimate(file); count < 1 || count > pictureTokens {
			t.Fatalf("a picture counts %d", count)
		}
		if document.estimate(file) < 1 || sound.estimate(file) < 1 || video.estimate(file) < 1 || embedding.estimate(file) < 1 {
			t.Fatal("media count nothing")
		}
	})
}
