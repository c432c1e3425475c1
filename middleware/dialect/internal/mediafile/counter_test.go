package mediafile

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

func TestACounterAddsUpWhatFilesHold(t *testing.T) {
	text := func(file []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(file)) }
	image := text(imageFiles(t, 30, 20)["PNG"])
	noise := []byte(strings.Repeat("QUJD", 50_000))
	var counter Counter
	if counter.Found {
		t.Error("nothing is found")
	}
	for _, file := range []struct {
		kind    Kind
		payload []byte
	}{
		{Image, image},
		{Image, noise},
		{Image, nil},
		{ImageOrAudio, image},
		{ImageOrAudio, text(wav(16_000))},
		{Document, encode("%PDF-1.4 " + pagesOf(2))},
		{Document, []byte("file-1")},
		{Document, []byte("https://example.com/a.pdf")},
		{Audio, text(wav(32_000))},
		{Audio, nil},
		{Video, noise},
		{Video, []byte("data:video/mp4;base64,QUJD")},
		{Video, []byte("http://example.com/" + strings.Repeat("x", 500))},
		{Embedding, noise},
		{Embedding, []byte("x")},
		{Vectors, nil},
		{Vectors, nil},
	} {
		counter.Add(file.kind, file.payload)
	}
	got := counter.Content
	if len(got.Images) != 2 || got.UnknownImages != 2 || !counter.Found {
		t.Errorf("%+v", got)
	}
	for name, sum := range map[string][2]media.Range{
		"pages":  {got.Pages, {Likely: 2 + 4 + 4, Most: 2 + 1000 + 1000}},
		"audio":  {got.AudioSeconds, {Likely: 2 + 3 + 300, Most: 2 + 3 + 3600}},
		"video":  {got.VideoSeconds, {Likely: 3 + 1 + 20, Most: 61 + 1 + 3600}},
		"tokens": {got.EmbeddingTokens, {Likely: 74 + 4096 + 2, Most: 147 + 16384 + 2}},
	} {
		if sum[0] != sum[1] {
			t.Errorf("%s: %+v, want %+v", name, sum[0], sum[1])
		}
	}
}
