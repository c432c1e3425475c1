package dialect

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

func TestMediaCountByWhatTheyAre(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	noise := strings.Repeat("QUJD", 50000)
	files := pictureFiles(t, 640, 480)
	const size = 23*18 + 2 // 640 by 480 in patches of 28
	pdf := encode([]byte("%PDF-1.4\n" + strings.Repeat("<< /Type /Page /Parent 1 0 R >>\n", 7) + "<< /Type /Pages /Count 7 >>" + strings.Repeat(" ", 9000)))
	wav := append([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00"), make([]byte, 320000)...)
	chat := func(part string) string {
		return `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"what?"},` + part + `]}]}`
	}
	input := func(item string) string { return `{"model":"m","input":[` + item + `]}` }
	for name, test := range map[string]struct {
		path, body string
		tokens     int64
	}{
		"chat":                {"/v1/chat/completions", chat(`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + encode(files["PNG"]) + `","detail":"high"}}`), size},
		"noise":               {"/v1/chat/completions", chat(`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + noise + `"}}`), unknownPicture},
		"an address":          {"/v1/chat/completions", chat(`{"type":"image_url","image_url":{"url":"https://example.com/p.png"}}`), unknownPicture},
		"embeddings":          {"/v1/chat/completions", chat(`{"type":"image_embeds","image_embeds":"` + noise + `"}`), 200000/embeddingBytes + 1},
		"a video":             {"/v1/chat/completions", chat(`{"type":"video_url","video_url":{"url":"data:video/mp4;base64,` + noise + `"}}`), 3 * videoTokens},
		"a video's address":   {"/v1/chat/completions", chat(`{"type":"video_url","video_url":{"url":"https://example.com/v.mp4"}}`), unknownFile},
		"frames":              {"/v1/chat/completions", chat(`{"type":"video","video":["` + encode(files["JPEG"]) + `","` + encode(files["GIF"]) + `"]}`), 2 * size},
		"a file":              {"/v1/chat/completions", chat(`{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,` + pdf + `"}}`), 7 * pageTokens},
		"sound":               {"/v1/chat/completions", chat(`{"type":"input_audio","input_audio":{"format":"wav","data":"` + encode(wav) + `"}}`), 11 * soundTokens},
		"sound of some kind":  {"/v1/chat/completions", chat(`{"type":"input_audio","input_audio":{"format":"mp3","data":"` + noise + `"}}`), 38 * soundTokens},
		"Responses":           {"/v1/responses", input(`{"role":"user","content":[{"type":"input_image","image_url":"data:image/webp;base64,` + encode(files["WebP, lossy"]) + `"},{"type":"input_image","image_url":"` + noise + `"}]}`), size + unknownPicture},
		"a tool's result":     {"/v1/responses", input(`{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"data:image/jpeg;base64,` + encode(files["JPEG"]) + `"}]}`), size},
		"an input file":       {"/v1/responses", input(`{"role":"user","content":[{"type":"input_file","file_data":"data:application/pdf;base64,` + pdf + `"}]}`), 7 * pageTokens},
		"a file's id":         {"/v1/responses", input(`{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}`), unknownFile},
		"Anthropic":           {"/v1/messages", chat(`{"source":{"data":"` + encode(files["GIF"]) + `","type":"base64","media_type":"image/gif"},"type":"image"}`), size},
		"Anthropic, tool":     {"/v1/messages", chat(`{"type":"tool_result","content":[{"type":"image","source":{"type":"base64","data":"` + encode(files["PNG"]) + `"}}]}`), size},
		"Anthropic, document": {"/v1/messages", chat(`{"type":"document","title":"t","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}`), 7 * pageTokens},
		"Ollama":              {"/api/chat", `{"model":"m","messages":[{"role":"user","content":"x","images":["` + encode(files["PNG"]) + `","` + noise + `"]}]}`, size + unknownPicture},
		"Ollama, generate":    {"/api/generate", `{"model":"m","prompt":"x","images":["` + encode(files["JPEG"]) + `"]}`, size},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := ReadRequest(route(t, test.path), []byte(test.body))
			if err != nil || call.MediaTokens != test.tokens || call.TextBytes > 220 || call.TextBytes < 0 {
				t.Errorf("%d media tokens and %d bytes of text, want %d tokens: %v", call.MediaTokens, call.TextBytes, test.tokens, err)
			}
		})
	}
}

func TestAPictureCountsNoMoreThanEncodersMakeOfIt(t *testing.T) {
	for size, want := range map[[2]int]int64{{1, 1}: 3, {28, 28}: 3, {29, 28}: 4, {4000, 3000}: 143*108 + 2, {8000, 6000}: pictureTokens} {
		file := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
		file = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(file, uint32(size[0])), uint32(size[1]))
		payload := base64.StdEncoding.EncodeToString(file)
		if got := picture.estimate([]byte(payload)); got != want {
			t.Errorf("%v counts %d, want %d", size, got, want)
		}
	}
}

func TestTextThatIsNoFileCountsAsText(t *testing.T) {
	text := strings.Repeat("word ", 10_000)
	for _, part := range []string{
		`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"` + text + `"}}`,
		`{"type":"document","source":{"media_type":"text/plain","data":"` + text + `"}}`,
		`{"type":"document","source":{"type":"content","content":[{"type":"text","text":"` + text + `"}]}}`,
		`{"type":"document","context":"` + text + `","source":{"type":"url","url":"https://example.com/a.pdf"}}`,
		`{"type":"image_url","image_url":{"url":"https://example.com/a.png"},"note":"` + text + `"}`,
		`{"type":"input_file","file_data":"data:text/plain;base64,` + text + `"}`,
		`{"type":"function_call_output","output":"` + text + `","source":"x"}`,
	} {
		body := `{"model":"m","messages":[{"role":"user","content":[` + part + `]}]}`
		call, err := ReadRequest(route(t, "/v1/messages"), []byte(body))
		if err != nil || call.TextBytes < int64(len(text)) {
			t.Errorf("%d bytes of %d count as text in %.80s: %v", call.TextBytes, len(text), part, err)
		}
	}
}

func TestPagesAreCounted(t *testing.T) {
	for _, test := range []struct {
		head string
		size int64
		want int64
	}{
		{"%PDF /Type/Page\n/Type /Pages /Type\n/Page", 50, 2},
		{"%PDF compressed", 15, 1},
		{"%PDF compressed", 160 << 10, 11},
		{"%PDF /Type/Page", 100 << 20, 100<<20/pageBytes + 1},
	} {
		if got := pages([]byte(test.head), test.size); got != test.want {
			t.Errorf("%q of %d bytes: %d pages, want %d", test.head, test.size, got, test.want)
		}
	}
}

func TestTextThatCallsItselfAnImageFirstIsText(t *testing.T) {
	data := strings.Repeat("QUJD", 50000)
	text := `{"model":"m","messages":[{"role":"user","content":[{"type":"image","type":"text","text":"` + data + `"}]}]}`
	if call, _ := ReadRequest(route(t, "/v1/chat/completions"), []byte(text)); call.TextBytes != int64(len(text)) {
		t.Errorf("text that calls itself an image first counts %d of %d bytes", call.TextBytes, len(text))
	}
}

func TestTextDoesNotPassForAnImage(t *testing.T) {
	text := strings.Repeat("word ", 10_000)
	for _, message := range []string{
		`{"type":"image","role":"user","content":"` + text + `"}`,
		`{"role":"user","content":"` + text + `","type":"image_url"}`,
		`{"role":"user","content":[{"type":"text","text":"` + text + `"}],"type":"input_audio"}`,
		`{"role":"user","content":[{"type":"image","text":"` + text + `"}]}`,
	} {
		for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/responses"} {
			member := "messages"
			if path == "/v1/responses" {
				member = "input"
			}
			call, err := ReadRequest(route(t, path), []byte(`{"model":"m","`+member+`":[`+message+`]}`))
			if err != nil {
				t.Fatal(err)
			}
			if call.TextBytes < int64(len(text)) {
				t.Errorf("%s: %d bytes of %d count as text in %.60s", path, call.TextBytes, len(text), message)
			}
		}
	}
}

// A body is read in time that grows with its size, however it is nested: without
// a bound it takes a hundred times as long.
func TestNestingCostsNoTime(t *testing.T) {
	read := func(depth int) time.Duration {
		body := `{"model":"m","messages":` + strings.Repeat("[", depth) + `"image"` + strings.Repeat(`,{}`, 200_000) + strings.Repeat("]", depth) + `}`
		best := time.Hour
		for range 3 {
			begin := time.Now()
			if _, err := ReadRequest(route(t, "/v1/chat/completions"), []byte(body)); err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(begin))
		}
		return best
	}
	if flat, deep := read(1), read(jsonscan.MaxDepth-8); deep > 20*flat {
		t.Errorf("%s for a nested body, %s for a flat one", deep, flat)
	}
}
