package dialect

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
	"github.com/penstockhq/penstock/middleware/dialect/internal/mediafile"
	"github.com/penstockhq/penstock/middleware/dialect/media"
)

// pngOf makes an image of a size, in base64.
func pngOf(t testing.TB, width, height int) string {
	t.Helper()
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Black, color.White})); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(file.Bytes())
}

func TestMediaAreFoundWhereverTheyStand(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	noise := strings.Repeat("QUJD", 50000)
	picture, small := pngOf(t, 640, 480), pngOf(t, 30, 20)
	sizes := func(all ...media.Size) []media.Size { return all }
	large, little := media.Size{Width: 640, Height: 480}, media.Size{Width: 30, Height: 20}
	pdf := encode([]byte("%PDF-1.4\n" + strings.Repeat("<< /Type /Page /Parent 1 0 R >>\n", 7) + "<< /Type /Pages /Count 7 >>" + strings.Repeat(" ", 9000)))
	wav := encode(append([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00"), make([]byte, 320000)...))
	chat := func(part string) string {
		return `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"what?"},` + part + `]}]}`
	}
	input := func(item string) string { return `{"model":"m","input":[` + item + `]}` }
	one, two := media.Content{UnknownImages: 1}, media.Content{UnknownImages: 2}
	seven := media.Content{Pages: media.Exactly(7)}
	for name, test := range map[string]struct {
		path, body string
		want       media.Content
	}{
		"chat":                  {"/v1/chat/completions", chat(`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + picture + `","detail":"high"}}`), media.Content{Images: sizes(large)}},
		"noise":                 {"/v1/chat/completions", chat(`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + noise + `"}}`), one},
		"an address":            {"/v1/chat/completions", chat(`{"type":"image_url","image_url":{"url":"https://example.com/p.png"}}`), one},
		"an address, escaped":   {"/v1/chat/completions", chat(`{"type":"image_url","image_url":{"url":"https:\/\/example.com\/p.png"}}`), one},
		"vLLM, without a type":  {"/v1/chat/completions", chat(`{"image_url":"https://example.com/p.png"},{"video_url":{"url":"https://example.com/v.mp4"}}`), media.Content{UnknownImages: 1, VideoSeconds: mediafile.UnseenVideo}},
		"vLLM, by its id":       {"/v1/chat/completions", chat(`{"type":"image_url","image_url":null,"uuid":"x"}`), one},
		"names that Go takes":   {"/api/chat", `{"model":"m","messages":[{"role":"user","content":"x","Images":["` + picture + `"],"IMAGE\u017f":["x"]}]}`, media.Content{Images: sizes(large), UnknownImages: 1}},
		"escaped names":         {"/v1/chat/completions", chat(`{"t\u0079pe":"im\u0061ge_url","image_\u0075rl":{"\u0075rl":"` + picture + `"}}`), media.Content{Images: sizes(large)}},
		"embeddings":            {"/v1/chat/completions", chat(`{"type":"image_embeds","image_embeds":"` + noise + `"}`), media.Content{EmbeddingTokens: media.Range{Likely: 74, Most: 147}}},
		"a video":               {"/v1/chat/completions", chat(`{"type":"video_url","video_url":{"url":"data:video/mp4;base64,` + noise + `"}}`), media.Content{VideoSeconds: media.Range{Likely: 3, Most: 61}}},
		"a video's address":     {"/v1/chat/completions", chat(`{"type":"video_url","video_url":{"url":"https://example.com/v.mp4"}}`), media.Content{VideoSeconds: mediafile.UnseenVideo}},
		"frames":                {"/v1/chat/completions", chat(`{"type":"video","video":["` + picture + `","` + small + `"]}`), media.Content{Images: sizes(large, little)}},
		"a file":                {"/v1/chat/completions", chat(`{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,` + pdf + `"}}`), seven},
		"sound":                 {"/v1/chat/completions", chat(`{"type":"input_audio","input_audio":{"format":"wav","data":"` + wav + `"}}`), media.Content{AudioSeconds: media.Exactly(11)}},
		"sound of some kind":    {"/v1/chat/completions", chat(`{"type":"input_audio","input_audio":{"format":"mp3","data":"` + noise + `"}}`), media.Content{AudioSeconds: media.Range{Likely: 38, Most: 201}}},
		"embeddings of a chat":  {"/v1/embeddings", chat(`{"type":"image_url","image_url":{"url":"` + picture + `"}}`), media.Content{Images: sizes(large)}},
		"prompt embeddings":     {"/v1/completions", `{"model":"m","prompt_embeds":["` + noise + `"]}`, media.Content{EmbeddingTokens: media.Range{Likely: 74, Most: 147}}},
		"Responses":             {"/v1/responses", input(`{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,` + picture + `"},{"type":"input_image","image_url":"` + noise + `"}]}`), media.Content{Images: sizes(large), UnknownImages: 1}},
		"a tool's result":       {"/v1/responses", input(`{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"data:image/png;base64,` + picture + `"}]}`), media.Content{Images: sizes(large)}},
		"a screenshot":          {"/v1/responses", input(`{"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","image_url":"data:image/png;base64,` + picture + `"}}`), media.Content{Images: sizes(large)}},
		"an input file":         {"/v1/responses", input(`{"role":"user","content":[{"type":"input_file","file_data":"data:application/pdf;base64,` + pdf + `"}]}`), seven},
		"a file's id":           {"/v1/responses", input(`{"role":"user","content":[{"type":"input_file","file_id":"file-1"}]}`), media.Content{Pages: mediafile.UnseenPages}},
		"Anthropic":             {"/v1/messages", chat(`{"source":{"data":"` + small + `","type":"base64","media_type":"image/png"},"type":"image"}`), media.Content{Images: sizes(little)}},
		"Anthropic, tool":       {"/v1/messages", chat(`{"type":"tool_result","content":[{"type":"image","source":{"type":"base64","data":"` + picture + `"}}]}`), media.Content{Images: sizes(large)}},
		"Anthropic, document":   {"/v1/messages", chat(`{"type":"document","title":"t","source":{"type":"base64","media_type":"application/pdf","data":"` + pdf + `"}}`), seven},
		"Anthropic, in a text":  {"/v1/messages", chat(`{"type":"document","source":{"type":"content","content":[{"type":"image","source":{"data":"` + picture + `"}}]}}`), media.Content{Images: sizes(large)}},
		"Ollama":                {"/api/chat", `{"model":"m","messages":[{"role":"user","content":"x","images":["` + picture + `","` + noise + `"]}]}`, media.Content{Images: sizes(large), UnknownImages: 1}},
		"Ollama, generate":      {"/api/generate", `{"model":"m","prompt":"x","images":["` + picture + `"]}`, media.Content{Images: sizes(large)}},
		"Ollama, embed":         {"/api/embed", `{"model":"m","input":"x","images":["` + picture + `"]}`, media.Content{Images: sizes(large)}},
		"SGLang, one":           {"/generate", `{"text":"x","image_data":"` + picture + `"}`, media.Content{Images: sizes(large)}},
		"SGLang, an address":    {"/generate", `{"text":"x","image_data":["https://example.com/a.png","/tmp/b.png"]}`, two},
		"SGLang, a batch":       {"/generate", `{"text":["x","y"],"image_data":[["` + picture + `","` + noise + `"],["` + small + `"]],"sampling_params":{}}`, media.Content{Images: sizes(large, little), UnknownImages: 1}},
		"SGLang, objects":       {"/generate", `{"text":"x","image_data":[{"url":"` + picture + `","detail":"auto"},{"format":"processor_output"}],"video_data":{"url":"https://example.com/v.mp4"}}`, media.Content{Images: sizes(large), UnknownImages: 1, VideoSeconds: mediafile.UnseenVideo}},
		"SGLang, sound, video":  {"/generate", `{"text":"x","audio_data":"` + wav + `","video_data":["data:video/mp4;base64,` + noise + `"],"image_data":null}`, media.Content{AudioSeconds: media.Exactly(11), VideoSeconds: media.Range{Likely: 3, Most: 61}}},
		"SGLang, vectors":       {"/generate", `{"input_embeds":[[0.5,1e-3],[1,2],[3]],"sampling_params":{}}`, media.Content{EmbeddingTokens: media.Exactly(3)}},
		"SGLang, vectors twice": {"/generate", `{"input_embeds":[[[0.5],[1]],[ [2] ]],"sampling_params":{}}`, media.Content{EmbeddingTokens: media.Exactly(3)}},
		"llama-server":          {"/completion", `{"prompt":{"prompt_string":"<__media__> and","multimodal_data":["` + picture + `","` + wav + `"]}}`, media.Content{Images: sizes(large), AudioSeconds: media.Exactly(11)}},
		"llama-server, a batch": {"/completion", `{"prompt":["x",{"prompt_string":"y","multimodal_data":["` + picture + `"]},{"prompt_string":"z","multimodal_data":["` + noise + `"]}]}`, media.Content{Images: sizes(large), UnknownImages: 1}},
		"rerank":                {"/v1/rerank", `{"model":"m","query":"x","documents":[{"content":[{"type":"image_url","image_url":{"url":"` + picture + `"}}]}]}`, media.Content{Images: sizes(large)}},
		"score":                 {"/score", `{"model":"m","text_1":"x","text_2":{"content":[{"type":"image_url","image_url":{"url":"` + picture + `"}}]}}`, media.Content{Images: sizes(large)}},
		"moderations":           {"/v1/moderations", input(`{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}`), one},
	} {
		t.Run(name, func(t *testing.T) {
			for _, reader := range []Reader{{}, {LenientJSON: true}} {
				call, err := reader.Read(route(t, test.path), []byte(test.body))
				if err != nil || call.Media == nil {
					t.Fatalf("%+v, %v", call.Media, err)
				}
				got := *call.Media
				if bytes := int64(len(test.body)) - call.TextBytes; bytes != got.Bytes {
					t.Errorf("%d bytes are no text, and %d are media", bytes, got.Bytes)
				}
				if got.Bytes = 0; fmt.Sprint(got) != fmt.Sprint(test.want) || call.TextBytes > 240 || call.TextBytes < 0 {
					t.Errorf("%+v and %d bytes of text, want %+v", got, call.TextBytes, test.want)
				}
			}
		})
	}
}

func TestAnObjectOfTextAndAnImageCountsAsBoth(t *testing.T) {
	picture := pngOf(t, 640, 480)
	for _, part := range []string{
		`{"type":"image_url","image_url":{"url":"` + picture + `"},"text":"x"}`,
		`{"type":"image_url","image_url":{"url":"` + picture + `"},"content":"x"}`,
		`{"Role":"user","type":"image_url","image_url":{"url":"` + picture + `"}}`,
	} {
		body := `{"model":"m","messages":[{"role":"user","content":[` + part + `]}]}`
		call, err := ReadRequest(route(t, "/v1/chat/completions"), []byte(body))
		if err != nil || call.Media == nil || len(call.Media.Images) != 1 || call.TextBytes != int64(len(body)) {
			t.Errorf("%.60s: %+v, %d bytes of text, %v", part, call.Media, call.TextBytes, err)
		}
	}
}

func TestMembersOfMediaAppearOnceAndAreSpelledSo(t *testing.T) {
	for body, want := range map[string]string{
		`{"text":"x","image_data":"a","image_data":"b"}`: `"image_data" appears twice`,
		`{"text":"x","Image_Data":"a"}`:                  `"image_data" must be spelled exactly so`,
		`{"text":"x","image_data":["a"`:                  "the body is not valid JSON",
		`{"text":"x","image_max_dynamic_patch":12}`:      "tokens an image makes",
		`{"text":"x","video_config":{"fps":30}}`:         "tokens a video makes",
	} {
		if _, err := ReadRequest(route(t, "/generate"), []byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
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
		`{"type":"input_file","file_data":"DATA:Text\/csv,` + text + `"}`,
		`{"type":"input_file","file_data":"data:te\u0078t/csv,` + text + `"}`,
		`{"type":"document","source":{"t\u0079pe":"te\u0078t","data":"` + text + `"}}`,
		`{"type":"tool_use","input":{"type":"image","url":"` + text + `"}}`,
		`{"type":"function_call_output","output":"` + text + `","source":"x"}`,
	} {
		body := `{"model":"m","messages":[{"role":"user","content":[` + part + `]}]}`
		call, err := ReadRequest(route(t, "/v1/messages"), []byte(body))
		if err != nil || call.TextBytes < int64(len(text)) {
			t.Errorf("%d bytes of %d count as text in %.80s: %v", call.TextBytes, len(text), part, err)
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
