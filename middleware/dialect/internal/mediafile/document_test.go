package mediafile

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

func encode(file string) []byte {
	return []byte("data:application/pdf;base64," + base64.StdEncoding.EncodeToString([]byte(file)))
}

// objectStream returns a stream that holds objects, compressed.
func objectStream(t testing.TB, objects string) string {
	t.Helper()
	var compressed bytes.Buffer
	w := zlib.NewWriter(&compressed)
	fmt.Fprint(w, objects)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("9 0 obj\n<< /Type /ObjStm /N 3 /First 30 /Filter /FlateDecode /Length %d >>\nstream\r\n%s\nendstream\nendobj\n", compressed.Len(), &compressed)
}

func pagesOf(count int) string {
	return strings.Repeat("<< /Type /Page /Parent 1 0 R /MediaBox [0 0 612 792] >>\n", count)
}

func TestPagesAreCounted(t *testing.T) {
	image := strings.Repeat("\x00\x9ambytes of an image", 20_000)
	guess := func(size int) media.Range {
		return media.Range{Likely: int64(size/usualPageBytes + 1), Most: int64(size/leastPageBytes + 1)}
	}
	for name, test := range map[string]struct {
		file string
		want media.Range
	}{
		"plain":                   {"%PDF-1.4\n" + pagesOf(7) + "<< /Type /Pages /Count 7 >>", media.Exactly(7)},
		"without spaces":          {"%PDF-1.4\n/Type/Page/Parent<</Type/Page>>/Type\r\n/Page", media.Exactly(3)},
		"types like it":           {"%PDF-1.4\n/Type /Page /Type /PageLabel /Type /Pages /Subtype /Type1 /TypePage /Type", media.Exactly(1)},
		"compressed":              {"%PDF-1.5\n" + image + objectStream(t, "1 0 2 50 "+pagesOf(12)) + objectStream(t, pagesOf(300)) + image, media.Exactly(312)},
		"both":                    {"%PDF-1.5\n" + pagesOf(2) + objectStream(t, pagesOf(3)), media.Exactly(5)},
		"a page that hangs twice": {"%PDF-1.4\n/Type /Page << /Type /Pages /Kids [1 0 R 1 0 R 1 0 R] /Count 3 >> /Type /Catalog /Count 900", media.Exactly(3)},
		"count before the type":   {"%PDF-1.4\n/Type /Page << /Count 40 /Type /Pages >>", media.Exactly(40)},
		"a false count":           {"%PDF-1.4\n/Type /Pages /Count 99999999999999999999999", media.Exactly(maxPages)},
		"no PDF file":             {image, guess(len(image))},
		"another filter":          {"%PDF-1.5\n" + strings.Replace(objectStream(t, pagesOf(3)), "stream\r\n\x78", "stream\r\n\x78\xff", 1), media.Range{Likely: 1, Most: 1}},
		"no stream":               {"%PDF-1.5\n" + image + "/Type /ObjStm /N 1", guess(len(image) + 27)},
	} {
		for _, payload := range [][]byte{
			encode(test.file),
			bytes.ReplaceAll(encode(test.file), []byte("/"), []byte(`\/`)),
			append([]byte("data:;base64,\n "), base64.RawStdEncoding.EncodeToString([]byte(test.file))...),
		} {
			if got := new(Budget).Pages(payload); got.Likely < test.want.Likely || got.Likely > test.want.Likely+1 || got.Most < test.want.Most || got.Most > test.want.Most+3 {
				t.Errorf("%s, %.30q: %+v pages, want %+v", name, payload, got, test.want)
			}
		}
	}
}

func TestAWindowsEdgeHidesNoPage(t *testing.T) {
	for shift := range 200 {
		file := "%PDF-1.5\n" + strings.Repeat("x", window-100-shift) + pagesOf(1) + objectStream(t, pagesOf(2))
		if got := new(Budget).Pages(encode(file)); got != media.Exactly(3) {
			t.Fatalf("moved by %d: %+v", shift, got)
		}
	}
}

func TestABombIsNotDecompressed(t *testing.T) {
	bomb := "%PDF-1.5\n" + objectStream(t, strings.Repeat(" ", 16<<20)+pagesOf(1000))
	budget := new(Budget)
	begin := time.Now()
	for range 100 {
		size := int64(len(bomb))
		if got := budget.Pages(encode(bomb)); got.Most < size/leastPageBytes || got.Likely < 1 {
			t.Fatalf("%+v", got)
		}
	}
	if budget.used > MaxInflated+101*(streamCost+8<<10) {
		t.Errorf("%d bytes were decompressed", budget.used)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestManyStreamsCostNoTime(t *testing.T) {
	file := encode("%PDF-1.5\n" + strings.Repeat("/Type/ObjStm stream\nxx\x03\x00", 300_000))
	begin := time.Now()
	if got := new(Budget).Pages(file); got.Most < 6000 {
		t.Errorf("%+v", got)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func FuzzPages(f *testing.F) {
	f.Add([]byte("%PDF-1.4\n" + pagesOf(2) + "<< /Type /Pages /Count 7 >>" + objectStream(f, pagesOf(3))))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, payload := range [][]byte{file, encode(string(file))} {
			if got := new(Budget).Pages(payload); got.Likely < 1 || got.Most < got.Likely || got.Most > maxPages+int64(len(payload)) {
				t.Fatalf("%+v", got)
			}
		}
	})
}
