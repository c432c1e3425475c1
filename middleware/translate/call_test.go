package translate

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/penstockhq/penstock/middleware/dialect"
)

func TestTheGateSaysWhetherAnAnswerIsAStream(t *testing.T) {
	for _, api := range []APIs{Messages, Responses} {
		for _, stream := range []bool{false, true} {
			call, err := Read(api, []byte(`{"stream":true,"Stream":false,"input":"q","messages":[{"role":"user","content":"q"}]}`), stream)
			if err != nil {
				t.Fatal(err)
			}
			var body struct{ Stream bool }
			if err := json.Unmarshal(call.Body("m", 1, false), &body); err != nil || body.Stream != stream {
				t.Errorf("%v: %v %v", stream, body, err)
			}
		}
	}
}

// A body becomes a chat completion that is JSON, or an error that names a member; it never
// ends the process.
func FuzzRead(f *testing.F) {
	for _, body := range []string{
		`{"system":[{"type":"text","text":"a"}],"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":"x"}]}],"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"any"},"thinking":{"type":"enabled","budget_tokens":1}}`,
		`{"input":[{"role":"user","content":[{"type":"input_image","image_url":"u"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":[]}],"text":{"format":{"type":"json_schema","name":"n","schema":{}}},"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[]}}`,
		`{"input":null,"messages":null}`, `[]`, `{"messages":[{"role":"user","content":[null]}],"input":[null]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, api := range []APIs{Messages, Responses} {
			call, err := Read(api, []byte(body), true)
			if err != nil {
				if !errors.As(err, new(*dialect.RequestError)) {
					t.Errorf("%q: %v", body, err)
				}
				continue
			}
			if sent := call.Body("m", 1, true); !json.Valid(sent) {
				t.Errorf("%q becomes %q", body, sent)
			}
			if whole, err := call.Whole([]byte(`{"choices":[{"message":{"content":"a"}}]}`), dialect.Usage{}, testAnswer); err != nil || validate(api, string(whole), true) != "" {
				t.Errorf("%q: %v %s", body, err, whole)
			}
		}
	})
}
