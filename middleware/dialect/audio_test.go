package dialect

import (
	"bytes"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/middleware/dialect/media"
)

const formType = "multipart/form-data; boundary=b"

// formOf writes a form: name=value is a field, name:content a file.
func formOf(parts ...string) []byte {
	var form strings.Builder
	for _, part := range parts {
		at := strings.IndexAny(part, "=:")
		form.WriteString("--b\r\nContent-Disposition: form-data; name=\"" + part[:at] + "\"")
		if part[at] == ':' {
			form.WriteString("; filename=\"a.wav\"\r\nContent-Type: audio/wav")
		}
		form.WriteString("\r\n\r\n" + part[at+1:] + "\r\n")
	}
	return []byte(form.String() + "--b--\r\n")
}

func TestFormsOfSoundAreRead(t *testing.T) {
	sound := "file:" + strings.Repeat("x", 40_000) // ten seconds at the usual rate
	for name, test := range map[string]struct {
		parts []string
		err   string
	}{
		"the model first":    {[]string{"model=m", sound}, ""},
		"the model last":     {[]string{sound, "prompt=hello", "model=m"}, ""},
		"lists":              {[]string{sound, "model=m", "timestamp_granularities[]=word", "timestamp_granularities[]=segment"}, ""},
		"two models":         {[]string{"model=m", sound, "model=n"}, `"model" appears twice`},
		"a list of models":   {[]string{"model=m", sound, "model[]=n"}, `"model" must be spelled exactly so`},
		"another Model":      {[]string{"model=m", sound, "Model=n"}, `"model" must be spelled exactly so`},
		"two files":          {[]string{"model=m", sound, sound}, `"file" appears twice`},
		"another file":       {[]string{"model=m", sound, "second:x"}, `"second" must not be a file`},
		"a model in a file":  {[]string{"model:m", sound}, `"model" must not be a file`},
		"no file":            {[]string{"model=m"}, `"file" is required`},
		"a file as a field":  {[]string{"model=m", "file=xyz"}, `"file" must be a file`},
		"no name":            {[]string{"model=", sound}, `"model" must be a string of 1 to 256 bytes`},
		"several answers":    {[]string{"model=m", sound, "n=1000"}, `"n" must be a whole number from 1 to 128`},
		"an endless answer":  {[]string{"model=m", sound, "max_completion_tokens=-1"}, `"max_completion_tokens" must be a whole number from 1 to 1073741824`},
		"a stream, or not":   {[]string{"model=m", sound, "stream=perhaps"}, `"stream" must be true or false`},
		"bytes that mislead": {[]string{"model=m\xff", sound}, `"model" is not valid UTF-8`},
	} {
		body := formOf(test.parts...)
		call, err := Reader{}.ReadForm(route(t, "/v1/audio/transcriptions"), formType, body)
		if test.err != "" {
			if err == nil || err.Error() != test.err {
				t.Errorf("%s: %v, want %q", name, err, test.err)
			}
			continue
		}
		if err != nil || call.Model != "m" || call.Stream || call.OutputCap != 10*wordTokens+restTokens || call.TextBytes > 20 ||
			call.Media.AudioSeconds != (media.Range{Likely: 10, Most: 54}) {
			t.Errorf("%s: %+v, %v", name, call, err)
		}
		sent := bytes.Join(call.FormPieces(body, "org/model"), nil)
		again, err := Reader{}.ReadForm(call.Route, formType, sent)
		if err != nil || again.Model != "org/model" || !bytes.Equal(bytes.Replace(sent, []byte("org/model"), []byte("m"), 1), body) {
			t.Errorf("%s: with another name %.300q, %v", name, sent, err)
		}
		if same := call.FormPieces(body, "m"); len(same) != 1 || &same[0][0] != &body[0] {
			t.Errorf("%s: what does not change is copied", name)
		}
	}
}

func TestAFormWithoutAModelGetsOne(t *testing.T) {
	body := formOf("file:x", "stream=true", "response_format=srt", "max_completion_tokens=5000")
	call, err := Reader{StrictMembers: true}.ReadForm(route(t, "/v1/audio/translations"), formType, body)
	if err != nil || !call.Stream || !call.PlainText || call.OutputCap != 5000 || call.Model != "" {
		t.Fatalf("%+v, %v", call, err)
	}
	sent := bytes.Join(call.FormPieces(body, "whisper"), nil)
	if again, err := (Reader{}).ReadForm(call.Route, formType, sent); err != nil || again.Model != "whisper" || !bytes.HasSuffix(sent, body) {
		t.Errorf("%q, %v", sent, err)
	}
	for contentType, body := range map[string][]byte{"application/json": []byte(`{"model":"m"}`), formType: []byte("--b--"), "": body} {
		if _, err := (Reader{}).ReadForm(call.Route, contentType, body); err == nil {
			t.Errorf("%q %q is a form", contentType, body)
		}
	}
	if _, err := (Reader{StrictMembers: true}).ReadForm(call.Route, formType, formOf("file:x", "colour=red")); err == nil {
		t.Error("an unknown field is a known one")
	}
}

func TestTranscriptsTellHowLongTheSoundWas(t *testing.T) {
	for reply, want := range map[string]struct {
		usage Usage
		ok    bool
		text  int64
	}{
		`{"text":"four","usage":{"type":"duration","seconds":12}}`:                                               {Usage{Sound: 600}, true, 4},
		`{"text":"four","usage":{"type":"tokens","input_tokens":14,"output_tokens":5,"input_token_details":{}}}`: {Usage{Input: 14, Output: 5}, true, 4},
		`{"duration":4.23,"language":"english","text":"\u00e4","segments":[{"text":"a"},{"text":"b"}]}`:          {Usage{Sound: 212}, true, 2},
		`{"duration":"4.23","text":"ab","usage":{"type":"duration","seconds":5}}`:                                {Usage{Sound: 250}, true, 2},
		`{"text":"four"}`:                        {Usage{}, false, 4},
		`{"text":"four","usage":{"seconds":-1}}`: {Usage{}, false, 4},
	} {
		call := Call{Route: route(t, "/v1/audio/transcriptions")}
		meter := NewMeter(&call, true)
		meter.Body([]byte(reply))
		if usage, ok := meter.Reported(); usage != want.usage || ok != want.ok || TranscriptBytes([]byte(reply)) != want.text {
			t.Errorf("%s: %+v, %v", reply, usage, ok)
		}
	}
}

var transcriptStreams = []streamCase{
	{
		"OpenAI's transcript",
		Call{Route: Route{Spec: &transcriptionsSpec}},
		false, SSE,
		sse(`{"type":"transcript.text.delta","delta":"four"}`, `{"type":"transcript.text.delta","delta":" is"}`, `{"type":"transcript.text.done","text":"four is","usage":{"type":"tokens","input_tokens":14,"output_tokens":5}}`),
		"", sse(`{"type":"transcript.text.done","text":"four is","usage":{"type":"tokens","input_tokens":14,"output_tokens":5}}`),
		Usage{Input: 14, Output: 5},
		2,
	},
	{
		"vLLM's transcript",
		Call{Route: Route{Spec: &transcriptionsSpec}},
		false, SSE,
		sse(`{"id":"t","object":"transcription.chunk","choices":[{"delta":{"content":"four"}}]}`, `{"id":"t","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}`) + doneLine,
		"", doneLine,
		Usage{Input: 7, Output: 2},
		1,
	},
}

func TestTranscriptStreams(t *testing.T) { checkStreams(t, transcriptStreams) }
