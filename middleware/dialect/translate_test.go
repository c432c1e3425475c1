package dialect

import (
	"errors"
	"testing"
)

// translationCase is a call that becomes an OpenAI chat completion.
type translationCase struct{ name, path, body, want string }

// checkTranslations checks the chat completions that calls become, with a cap of
// 64 tokens. A call that is refused gives the sentence.
func checkTranslations(t *testing.T, cases []translationCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			call, err := ReadRequest(route(t, test.path), []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if chat, err := call.ToChat([]byte(test.body), "org/m"); err == nil {
				got = string(chat.Body(64))
			} else if mistake := new(RequestError); errors.As(err, &mistake) {
				got = mistake.Message
			}
			if got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestSettingsOfTranslatedCallsGoOn(t *testing.T) {
	const messages = `{"model":"org/m","messages":[{"role":"user","content":"Hi"}],"max_tokens":64`
	checkTranslations(t, []translationCase{
		{"settings", "/api/v2/execute/m", `{"text":"Hi","temperature":0.5,"top_p":0.9,"stop":["x"],"seed":7}`, messages + `,"temperature":0.5,"top_p":0.9,"stop":["x"],"seed":7}`},
		{"nulls are left out", "/api/v2/execute/m", `{"text":"Hi","temperature":null,"top_p":null,"tools":null}`, messages + `}`},
		{"a stream reports its usage", "/api/v2/execute/m", `{"text":"Hi","stream":true}`, messages + `,"stream":true,"stream_options":{"include_usage":true}}`},
		{"too hot", "/api/v2/execute/m", `{"text":"Hi","temperature":2.5}`, `"temperature" must be from 0 to 2`},
		{"a wrong type", "/api/v2/execute/m", `{"text":"Hi","temperature":"hot"}`, `"temperature" has the wrong type`},
	})
}

func TestChatText(t *testing.T) {
	for reply, want := range map[string]string{
		`{"choices":[{"message":{"content":"four"}}]}`: "four true",
		`{"choices":[{"message":{"content":null}}]}`:   " true",
		`{"choices":[]}`:             " false",
		`{"error":{"message":"no"}}`: " false",
		`<html>`:                     " false",
	} {
		text, ok := ChatText([]byte(reply))
		if got := text + map[bool]string{true: " true", false: " false"}[ok]; got != want {
			t.Errorf("%s: %q, want %q", reply, got, want)
		}
	}
}
