package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
	mediarules "github.com/penstockhq/penstock/middleware/dialect/media"
)

// mp3 returns ten seconds of it for every 383 frames, at 128 kbit/s.
func mp3(frames int) string {
	one := make([]byte, 417)
	copy(one, []byte{0xff, 0xfb, 0x90, 0xc4})
	return string(bytes.Repeat(one, frames))
}

// perToken is a price of a micro-credit for each token.
var perToken = ledger.Price{Input: 1_000_000, Output: 1_000_000}

const speechBody = `{"model":"voice","input":"Please mind the gap between the train and the platform.","voice":"alloy","speed":0.5}`

func TestSpeechPassesAndIsChargedByItsLength(t *testing.T) {
	send := func(http.ResponseWriter) {}
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) != strings.Replace(speechBody, "voice", "org/voice", 1) {
			t.Errorf("the upstream sees %s", body)
		}
		send(w)
	}, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "voice", UpstreamName: "org/voice"}))
	if err := h.ledger.SetPrice(t.Context(), "voice", perToken); err != nil {
		t.Fatal(err)
	}
	const input = int64(len(speechBody)+3) / 4
	audio := mp3(383)
	answer := func(media, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", media)
			for rest := body; rest != ""; {
				piece := rest[:min(len(rest), 5000)]
				io.WriteString(w, piece)
				w.(http.Flusher).Flush()
				rest = rest[len(piece):]
			}
		}
	}
	for i, test := range []struct {
		name   string
		send   func(http.ResponseWriter)
		status int
		body   string
		output int64
		source ledger.UsageSource
	}{
		{"a file", answer("audio/mpeg", audio), 200, audio, 501, ledger.UsageCounted},
		{"samples", answer("audio/pcm", strings.Repeat("\x00", 48_000)), 200, strings.Repeat("\x00", 48_000), 50, ledger.UsageCounted},
		{"an unknown file", answer("application/octet-stream", strings.Repeat("x", 8000)), 200, strings.Repeat("x", 8000), 100, ledger.UsageCounted},
		{"JSON", answer("application/json", `{"model":"x","error":"no voice"}`), 502, `"error":{`, 0, 0},
		{"a page", answer("text/html", `<html>`), 502, `"error":{`, 0, 0},
		{"nothing", func(w http.ResponseWriter) { w.Header().Set("Content-Type", "audio/mpeg") }, 502, `"error":{`, 0, 0},
		{"204", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }, 502, `"error":{`, 0, 0},
		{"a refusal", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(400)
			io.WriteString(w, `{"error":{"message":"no such voice"}}`)
		}, 400, "no such voice", 0, 0},
		{"events", answer("text/event-stream", "data: {\"type\":\"speech.audio.delta\",\"audio\":\"QUJD\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":12,\"output_tokens\":44,\"total_tokens\":56}}\n\n"), 200, "speech.audio.done", 44, ledger.UsageReported},
		{"one long event", answer("text/event-stream", "data: {\"type\":\"speech.audio.delta\",\"audio\":\""+strings.Repeat("A", 213_330)+"\"}\n\ndata: {\"type\":\"speech.audio.done\"}\n\n"), 200, "speech.audio.done", 501, ledger.UsageCounted},
		{"events beyond the bound", answer("text/event-stream", strings.Repeat("data: {\"type\":\"speech.audio.delta\",\"audio\":\""+strings.Repeat("A", 40_000)+"\"}\n\n", 30)+"data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":12,\"output_tokens\":44}}\n\n"), 200, "speech.audio.done", 44, ledger.UsageReported},
		{"events that count nothing", answer("text/event-stream", "data: {\"type\":\"speech.audio.delta\",\"audio\":\""+strings.Repeat("A", 21333)+"\"}\n\ndata: {\"type\":\"speech.audio.done\"}\n\n"), 200, "speech.audio.done", 50, ledger.UsageCounted},
	} {
		send = test.send
		got := h.post("/v1/audio/speech", speechBody)
		if got.status != test.status || !strings.Contains(got.body, test.body) || got.readErr != nil {
			t.Errorf("%s: %d, %d bytes, %v", test.name, got.status, len(got.body), got.readErr)
		}
		report := h.reports.nth(t, i+1)
		want := ledger.Micro(input + test.output)
		switch {
		case test.output == 0:
			want = 0
		case test.source == ledger.UsageReported:
			want = 12 + 44
		}
		if report.Operation != "speech" || report.OutputTokens != test.output || report.UsageSource != test.source || report.Charge.Amount != want {
			t.Errorf("%s: %+v", test.name, report)
		}
	}
	if account := h.account(); account.Held != 0 {
		t.Errorf("%+v", account)
	}
}

func TestSpeechThatBreaksOffIsChargedAsFarAsItCame(t *testing.T) {
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "audio/pcm")
		io.WriteString(w, strings.Repeat("\x00", 48_000))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}, ledger.NewKey{})
	if err := h.ledger.SetPrice(t.Context(), "voice", perToken); err != nil {
		t.Fatal(err)
	}
	if got := h.post("/v1/audio/speech", speechBody); got.readErr == nil {
		t.Errorf("%d, %d bytes: a cut sound looks complete", got.status, len(got.body))
	}
	if report := h.reports.nth(t, 1); report.OutputTokens != 50 || report.Outcome != ledger.OutcomeUpstreamFailed {
		t.Errorf("%+v", report)
	}
}

func TestSpeechLeavesWhileItIsMade(t *testing.T) {
	next := make(chan struct{})
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "audio/mpeg")
		io.WriteString(w, mp3(10))
		w.(http.Flusher).Flush()
		<-next
		io.WriteString(w, mp3(10))
	}, ledger.NewKey{})
	request, err := http.NewRequestWithContext(context.Background(), "POST", h.gateway.URL+"/v1/audio/speech", strings.NewReader(speechBody))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+h.text)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 4000)); err != nil {
		t.Fatal(err)
	}
	close(next)
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) != len(mp3(20))-4000 {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
}

func TestImagesAreChargedByTheirTokens(t *testing.T) {
	reply, media := "", "application/json"
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", media)
		io.WriteString(w, reply)
	}, ledger.NewKey{})
	if err := h.ledger.SetPrice(t.Context(), "paint", perToken); err != nil {
		t.Fatal(err)
	}
	const body = `{"model":"paint","prompt":"a red fox","n":2,"size":"512x512"}`
	const input, each = int64(len(body)+3) / 4, int64(512*512/256 + 512)
	large := `{"created":1,"data":[{"b64_json":"` + strings.Repeat("A", 200_000) + `"},{"b64_json":"B"}],"usage":{"input_tokens":9,"output_tokens":1500,"total_tokens":1509}}`
	for i, test := range []struct {
		name, reply   string
		status        int
		input, output int64
		source        ledger.UsageSource
	}{
		{"reported", `{"data":[{"url":"https://x/1"},{"url":"https://x/2"}],"usage":{"input_tokens":9,"output_tokens":1500,"total_tokens":1509}}`, 200, 9, 1500, ledger.UsageReported},
		{"large", large, 200, 9, 1500, ledger.UsageReported},
		{"not reported", `{"data":[{"b64_json":"A"},{"b64_json":"B"}]}`, 200, input, 2 * each, ledger.UsageEstimated},
		{"beyond the bound", `{"data":[{"b64_json":"A"}],"usage":{"input_tokens":9,"output_tokens":1000000}}`, 200, 9, 2 * each, ledger.UsageReported},
		{"no image", `{"data":[]}`, 502, 0, 0, 0},
		{"an error", `{"error":{"message":"blocked"}}`, 502, 0, 0, 0},
	} {
		reply = test.reply
		got := h.post("/v1/images/generations", body)
		if got.status != test.status || test.status == 200 && got.body != reply {
			t.Errorf("%s: %d %.200s", test.name, got.status, got.body)
		}
		report := h.reports.nth(t, i+1)
		if report.Operation != "images" || report.InputTokens != test.input || report.OutputTokens != test.output || report.UsageSource != test.source || report.Charge.Amount != ledger.Micro(test.input+test.output) {
			t.Errorf("%s: %+v", test.name, report)
		}
	}
	media = "text/event-stream"
	event := func(name, rest string) string {
		return "event: image_generation." + name + "\ndata: {\"type\":\"image_generation." + name + "\",\"b64_json\":\"" + strings.Repeat("A", 300_000) + "\"" + rest + "}\n\n"
	}
	const streamed = `{"model":"paint","prompt":"a red fox","stream":true,"partial_images":3}`
	for i, test := range []struct {
		last          string
		input, output int64
		source        ledger.UsageSource
	}{
		{`,"usage":{"input_tokens":9,"output_tokens":1100}`, 9, 1100, ledger.UsageReported},
		{``, int64(len(streamed)+3) / 4, 1536*1024/256 + 512, ledger.UsageEstimated},
	} {
		reply = event("partial_image", `,"partial_image_index":0`) + event("partial_image", `,"partial_image_index":1`) + event("completed", test.last)
		if got := h.post("/v1/images/generations", streamed); got.body != reply || got.readErr != nil {
			t.Errorf("%d, %d of %d bytes", got.status, len(got.body), len(reply))
		}
		if report := h.reports.nth(t, 7+i); report.InputTokens != test.input || report.OutputTokens != test.output || report.UsageSource != test.source {
			t.Errorf("%+v", report)
		}
	}
}

func TestWhatBoundsSoundAndImagesIsChecked(t *testing.T) {
	h := build(t, chat, ledger.NewKey{})
	for body, param := range map[string]string{
		`{"model":"m","prompt":"x","size":"1024"}`:               "",
		`{"model":"m","prompt":"x","size":"0x9"}`:                "size",
		`{"model":"m","prompt":"x","size":"99999x9"}`:            "size",
		`{"model":"m","prompt":"x","size":7}`:                    "size",
		`{"model":"m","prompt":"x","size":"auto","size":"auto"}`: "size",
		`{"model":"m","prompt":"x","n":200}`:                     "n",
		`{"model":"m","prompt":"x","n":2,"stream":true}`:         "more than one image",
		`{"model":"m","prompt":"x","steps":20,"n":1}`:            "",
	} {
		checkParam(t, h, "/v1/images/generations", body, param)
	}
	for body, param := range map[string]string{
		`{"model":"m","input":"x","speed":0}`:      "speed",
		`{"model":"m","input":"x","speed":"fast"}`: "speed",
		`{"model":"m","input":"x","speed":1e9}`:    "speed",
		`{"model":"m","input":"x","speed":null}`:   "",
	} {
		checkParam(t, h, "/v1/audio/speech", body, param)
	}
}

func checkParam(t *testing.T, h *house, path, body, param string) {
	t.Helper()
	got := h.post(path, body)
	var refused struct {
		Error struct{ Message, Param string }
	}
	_ = json.Unmarshal([]byte(got.body), &refused)
	if param != "" && (got.status != 400 || refused.Error.Param != param && !strings.Contains(refused.Error.Message, param)) ||
		param == "" && strings.Contains(refused.Error.Message, "must") {
		t.Errorf("%s: %d %s", body, got.status, got.body)
	}
}

// form returns a form with a sound and its type.
func form(fields ...string) (body, contentType string) {
	var buffer bytes.Buffer
	w := multipart.NewWriter(&buffer)
	file, _ := w.CreateFormFile("file", "a.mp3")
	io.WriteString(file, mp3(383))
	for i := 0; i+1 < len(fields); i += 2 {
		w.WriteField(fields[i], fields[i+1])
	}
	w.Close()
	return buffer.String(), w.FormDataContentType()
}

func TestTranscriptsAreChargedByTheLengthOfTheSound(t *testing.T) {
	reply, media, seen := "", "application/json", ""
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			t.Error(err)
			return
		}
		file, header, err := r.FormFile("file")
		if err != nil {
			t.Error(err)
			return
		}
		sound, _ := io.ReadAll(file)
		seen = r.FormValue("model")
		if string(sound) != mp3(383) || header.Filename != "a.mp3" || r.Header.Get("Authorization") != "" {
			t.Errorf("the upstream gets %d bytes of %s", len(sound), header.Filename)
		}
		w.Header().Set("Content-Type", media)
		io.WriteString(w, reply)
	}, ledger.NewKey{}, middleware.WithModels(middleware.Model{Name: "whisper", UpstreamName: "openai/whisper-large-v3"}))
	if err := h.ledger.SetPrice(t.Context(), "whisper", perToken); err != nil {
		t.Fatal(err)
	}
	const length = 11 * 50 // of the sound, whole seconds
	stream := "data: {\"type\":\"transcript.text.delta\",\"delta\":\"four\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"four\",\"usage\":{\"input_tokens\":14,\"output_tokens\":2}}\n\n"
	for i, test := range []struct {
		path, media, reply string
		fields             []string
		status             int
		input, output      int64
		source             ledger.UsageSource
	}{
		{"/v1/audio/transcriptions", "application/json", `{"text":"four is"}`, nil, 200, length + 2, 2, ledger.UsageCounted},
		{"/v1/audio/transcriptions", "application/json", `{"text":"four","usage":{"type":"duration","seconds":10}}`, nil, 200, 500, 1, ledger.UsageReported},
		{"/v1/audio/translations", "application/json", `{"text":"four","usage":{"type":"tokens","input_tokens":14,"output_tokens":5,"total_tokens":19}}`, nil, 200, 14, 5, ledger.UsageReported},
		{"/v1/audio/transcriptions", "application/json", `{"duration":9.98,"text":"four","segments":[{"text":"four"}]}`, []string{"response_format", "verbose_json"}, 200, 499, 1, ledger.UsageReported},
		{"/v1/audio/transcriptions", "text/plain; charset=utf-8", "four\n", []string{"response_format", "text"}, 200, length + 3, 2, ledger.UsageCounted},
		{"/v1/audio/transcriptions", "text/vtt", "WEBVTT\n\nfour\n", []string{"response_format", "vtt"}, 200, length + 3, 4, ledger.UsageCounted},
		{"/v1/audio/transcriptions", "text/event-stream", stream, []string{"stream", "true"}, 200, 14, 2, ledger.UsageReported},
		{"/v1/audio/transcriptions", "text/html", "<html>", []string{"response_format", "text"}, 502, 0, 0, 0},
		{"/v1/audio/transcriptions", "text/plain", "", []string{"response_format", "text"}, 502, 0, 0, 0},
		{"/v1/audio/transcriptions", "text/plain", "four", nil, 502, 0, 0, 0},
		{"/v1/audio/transcriptions", "application/json", `{}`, nil, 502, 0, 0, 0},
		{"/v1/audio/transcriptions", "application/json", `{"text":"x","usage":{"seconds":100000}}`, nil, 200, 213*50 + 2 + 64, 1, ledger.UsageReported}, // no more than so many bytes can hold
	} {
		reply, media = test.reply, test.media
		body, contentType := form(append(test.fields, "model", "whisper")...)
		got := h.post(test.path, body, "Content-Type", contentType)
		if got.status != test.status || test.status == 200 && got.body != reply {
			t.Errorf("%s %s: %d %q", test.path, test.reply, got.status, got.body)
		}
		if seen != "openai/whisper-large-v3" {
			t.Errorf("the upstream sees the model %q", seen)
		}
		report := h.reports.nth(t, i+1)
		input := test.input
		if i == 11 {
			input = report.InputTokens
			if input > 214*50+100 || input < 212*50 {
				t.Errorf("%d tokens are believed", input)
			}
		}
		if report.InputTokens != input || report.OutputTokens != test.output || report.UsageSource != test.source || report.Charge.Amount != ledger.Micro(input+test.output) {
			t.Errorf("%s %s: %+v", test.path, test.reply, report)
		}
	}
}

func TestFormsThatTwoServersReadInTwoWaysAreRefused(t *testing.T) {
	h := build(t, func(http.ResponseWriter, *http.Request) { t.Error("the upstream is called") }, ledger.NewKey{}, middleware.WithMaxBody(1<<20))
	twice, contentType := form("model", "a", "model", "b")
	nothing, otherType := form("x", "y")
	for name, test := range map[string]struct {
		body, contentType string
		status            int
	}{
		"two models":       {twice, contentType, 400},
		"no model":         {nothing, otherType, 400},
		"no boundary":      {twice, "multipart/form-data", 400},
		"JSON":             {`{"model":"a"}`, "application/json", 400},
		"too large":        {twice + strings.Repeat("x", 1<<20), contentType, 413},
		"another boundary": {twice, "multipart/form-data; boundary=x", 400},
	} {
		if got := h.post("/v1/audio/transcriptions", test.body, "Content-Type", test.contentType); got.status != test.status {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	h.untouched()
}

func TestSoundAndImagesArePricedByTheSecondAndByTheImage(t *testing.T) {
	reply, media := "", "application/json"
	h := build(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", media)
		io.WriteString(w, reply)
	}, ledger.NewKey{}, middleware.WithModels(
		middleware.Model{Name: "sound", Unit: middleware.UnitAudioSecond, Media: &mediarules.Rules{AudioSecond: 7}},
		middleware.Model{Name: "paint", Unit: middleware.UnitImage}))
	const million, second, image = 1_000_000, 300, 40_000 // micro-credits
	for model, price := range map[string]ledger.Price{
		"sound": {Input: second * million / middleware.AudioSecondTokens, Output: second * million / middleware.AudioSecondTokens},
		"paint": {Output: image * million / middleware.ImageTokens},
	} {
		if err := h.ledger.SetPrice(t.Context(), model, price); err != nil {
			t.Fatal(err)
		}
	}
	transcript, contentType := form("model", "sound", "prompt", "a long prompt that costs nothing here")
	const painting = `{"model":"paint","prompt":"a red fox","n":3,"size":"4096x4096"}`
	for i, test := range []struct {
		path, body, contentType string
		media, reply            string
		charge                  ledger.Micro
		source                  ledger.UsageSource
	}{
		{"/v1/audio/transcriptions", transcript, contentType, "application/json", `{"text":"four","usage":{"type":"duration","seconds":10}}`, 10 * second, ledger.UsageReported},
		{"/v1/audio/transcriptions", transcript, contentType, "application/json", `{"text":"four","usage":{"input_tokens":900,"output_tokens":900}}`, 11 * second, ledger.UsageCounted},
		{"/v1/audio/transcriptions", transcript, contentType, "application/json", `{"text":"four"}`, 11 * second, ledger.UsageCounted},
		{"/v1/audio/speech", strings.Replace(speechBody, "voice", "sound", 1), "application/json", "audio/pcm", strings.Repeat("\x00", 96_000), 2 * second, ledger.UsageCounted},
		{"/v1/images/generations", painting, "application/json", "application/json", `{"data":[{"url":"a"},{"b64_json":"b"},{"url":"c","b64_json":null}],"usage":{"input_tokens":9,"output_tokens":9000}}`, 3 * image, ledger.UsageReported},
		{"/v1/images/generations", painting, "application/json", "application/json", `{"data":[{"url":"a"}]}`, image, ledger.UsageReported},
		{"/v1/images/generations", painting, "application/json", "application/json", `{"data":[{"url":"a"},{"url":"b"},{"url":"c"},{"url":"d"},{"url":"e"}]}`, 3 * image, ledger.UsageReported},
		{"/v1/images/generations", painting, "application/json", "application/json", `{"data":[{"b64_json":"` + strings.Repeat("A", 100_000) + `"},{"b64_json":"` + strings.Repeat("B", 100_000) + `"}]}`, 2 * image, ledger.UsageReported},
		{"/v1/images/generations", painting, "application/json", "application/json", `{"data":[{"path":"a"}]}`, 3 * image, ledger.UsageEstimated},
		{"/v1/images/generations", painting, "application/json", "application/json", `{"data":[]}`, 0, ledger.UsageReported},
	} {
		reply, media = test.reply, test.media
		h.post(test.path, test.body, "Content-Type", test.contentType)
		if report := h.reports.nth(t, i+1); report.Charge.Amount != test.charge || report.UsageSource != test.source {
			t.Errorf("%s %.100s: %+v", test.path, test.reply, report)
		}
	}
	if account := h.account(); account.Held != 0 {
		t.Errorf("%+v", account)
	}
}

// A form is kept once, also where the name of its model changes.
func TestAFormIsHeldOnce(t *testing.T) {
	const size = 8 << 20
	body, contentType := form("model", "whisper")
	body = strings.Replace(body, mp3(383), strings.Repeat("x", size), 1)
	h := build(t, chat, ledger.NewKey{})
	h.wrap(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != r.ContentLength || err != nil {
			t.Errorf("%d of %d bytes: %v", n, r.ContentLength, err)
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"text":"a"}`)
	}, middleware.WithModels(middleware.Model{Name: "whisper", UpstreamName: "another name"}))
	request := func() {
		r := httptest.NewRequest("POST", "/v1/audio/transcriptions", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", "Bearer "+h.text)
		answer := httptest.NewRecorder()
		if h.gateway.Config.Handler.ServeHTTP(answer, r); answer.Code != 200 {
			t.Fatal(answer.Code, answer.Body)
		}
	}
	request()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	request()
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > size+size/4 {
		t.Errorf("a form of %d bytes took %d", len(body), took)
	}
}
