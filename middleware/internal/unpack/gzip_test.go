package unpack_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/penstockhq/penstock/middleware/internal/unpack"
)

func TestContentComesInPiecesAndItsEndIsKnown(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.WriteString(w, "one two three"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for cut, whole := range map[int]bool{packed.Len(): true, packed.Len() - 1: false, 12: false} {
		var content []byte
		reader := unpack.NewGzip(func(piece []byte) { content = append(content, piece...) })
		for _, b := range packed.Bytes()[:cut] {
			if err := reader.Write([]byte{b}); err != nil {
				t.Errorf("%d bytes: %v", cut, err)
			}
		}
		if err := reader.Close(); (err == nil) != whole || whole && string(content) != "one two three" {
			t.Errorf("%d bytes: %q, %v", cut, content, err)
		}
	}
	reader := unpack.NewGzip(func([]byte) { t.Error("there is content in what is none") })
	if err := reader.Write([]byte("no gzip at all")); err == nil {
		t.Error("no error")
	}
	if err := reader.Close(); err == nil {
		t.Error("no error at the end")
	}
}
