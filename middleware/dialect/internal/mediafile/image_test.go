package mediafile

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

// imageFiles makes an image of a size in each format.
func imageFiles(t testing.TB, width, height int) map[string][]byte {
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

func TestImagesTellTheirSize(t *testing.T) {
	for _, want := range []media.Size{{Width: 1, Height: 1}, {Width: 640, Height: 480}, {Width: 300, Height: 1777}} {
		for name, file := range imageFiles(t, int(want.Width), int(want.Height)) {
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
				text := encoding.EncodeToString(file)
				var lines strings.Builder
				for i := 0; i < len(text); i += 76 {
					lines.WriteString(text[i:min(i+76, len(text))] + `\r\n`)
				}
				for _, payload := range []string{
					text, "data:image/png;base64," + text, "DATA:image/png;charset=x;BASE64," + text,
					`data:image\/png;base64,` + strings.ReplaceAll(text, "/", `\/`), lines.String(), " " + text,
				} {
					if got, ok := ImageSize([]byte(payload)); !ok || got != want {
						t.Errorf("%s in %.30q: %v, %v, want %v", name, payload, got, ok, want)
					}
				}
			}
		}
	}
}

func TestAnImageThatIsCutHasNoSize(t *testing.T) {
	for name, file := range imageFiles(t, 640, 480) {
		for end := range min(len(file), 20) {
			if got, ok := imageSize(file[:end]); ok {
				t.Errorf("%s: %v is read out of %d bytes", name, got, end)
			}
		}
	}
}

// An image must not count by a size that its decoder does not see.
func TestWhatDecodersMayReadOtherwiseIsOfUnknownSize(t *testing.T) {
	text := base64.StdEncoding.EncodeToString(imageFiles(t, 1, 1)["PNG"])
	for _, payload := range []string{
		"", "https://example.com/a.png", "http:" + text, "file:" + text,
		text[:10] + "-" + text[10:], text[:10] + "=" + text[10:], text[:10] + `\u0041` + text[10:], text[:10] + "é" + text[10:],
		"data:image/png," + text, "data:image/png;utf8," + text, "data:image/png;base64" + text,
		"data:" + strings.Repeat("x", 300) + ";base64," + text,
		"data:image/png;base64,data:image/png;base64," + text,
	} {
		if got, ok := ImageSize([]byte(payload)); ok {
			t.Errorf("%.60q has the size %v", payload, got)
		}
	}
}

// Decoders enlarge the screen of a GIF file for a frame that is larger.
func TestAGIFCountsItsFrame(t *testing.T) {
	file := imageFiles(t, 300, 200)["GIF"]
	copy(file[6:], "\x01\x00\x01\x00")
	if got, ok := imageSize(file); !ok || got != (media.Size{Width: 300, Height: 200}) {
		t.Errorf("%v, %v", got, ok)
	}
}

func TestAnImageThatClaimsTooMuchIsOfUnknownSize(t *testing.T) {
	file := imageFiles(t, 300, 200)["PNG"]
	binary.BigEndian.PutUint32(file[16:], media.MaxSide+1)
	if got, ok := imageSize(file); ok {
		t.Errorf("%v", got)
	}
}

func FuzzImageSize(f *testing.F) {
	for _, file := range imageFiles(f, 30, 20) {
		f.Add([]byte(base64.StdEncoding.EncodeToString(file)))
		f.Add([]byte("data:image/png;base64," + base64.RawURLEncoding.EncodeToString(file)))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if size, ok := ImageSize(payload); ok && (size.Width < 1 || size.Height < 1 || size.Width > media.MaxSide || size.Height > media.MaxSide) {
			t.Fatalf("%v", size)
		}
		if size, ok := imageSize(payload); ok && (size.Width < 1 || size.Height < 1) {
			t.Fatalf("%v", size)
		}
		memory := make([]byte, 0, 100)
		head := decodeHead(payload, memory)
		if len(head) > 99 {
			t.Fatalf("%d bytes are decoded", len(head))
		}
		if text, ok := content(payload); ok {
			if slow := decodeSlowly(text, make([]byte, 0, 100)); !bytes.HasPrefix(slow, head) && !bytes.HasPrefix(head, slow) {
				t.Fatalf("%q and %q", head, slow)
			}
		}
	})
}
