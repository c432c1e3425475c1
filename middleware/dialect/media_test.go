package dialect

import (
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
)

func TestImagesAndAudioCountByTable(t *testing.T) {
	data := strings.Repeat("QUJD", 50000)
	for name, test := range map[string]struct {
		path, body string
		tokens     int64
	}{
		"OpenAI":    {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + data + `"}}]}]}`, 1600},
		"Responses": {"/v1/responses", `{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"` + data + `"},{"type":"input_image","image_url":"` + data + `"}]}]}`, 3200},
		"Anthropic": {"/v1/messages", `{"model":"m","messages":[{"role":"user","content":[{"source":{"data":"` + data + `"},"type":"image"}]}]}`, 1600},
		"Ollama":    {"/api/chat", `{"model":"m","messages":[{"role":"user","content":"x","images":["` + data + `","` + data + `"]}]}`, 3200},
		"audio":     {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"` + data + `"}}]}]}`, 251},
	} {
		t.Run(name, func(t *testing.T) {
			call, err := ReadRequest(route(t, test.path), []byte(test.body))
			if err != nil || call.MediaTokens != test.tokens || call.TextBytes > 200 || call.TextBytes < 0 {
				t.Errorf("%d media tokens and %d bytes of text, want %d tokens: %v", call.MediaTokens, call.TextBytes, test.tokens, err)
			}
		})
	}
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
