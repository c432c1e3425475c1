package translate

import (
	"strings"
	"testing"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// whole translates a whole completion.
func whole(t *testing.T, body, message, rest string, api APIs) string {
	t.Helper()
	call, err := Read(api, []byte(body), strings.Contains(body, `"stream":true`))
	if err != nil {
		t.Fatal(err)
	}
	reply := `{"id":"c","choices":[{"index":0,"message":` + message + rest + `}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`
	if err := Check([]byte(reply)); err != nil {
		t.Fatal(err)
	}
	got, err := call.Whole([]byte(reply), dialect.Usage{Input: 9, Cached: 4, Output: 3}, testAnswer)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestAWholeMessage(t *testing.T) {
	const plain = `{"messages":[{"role":"user","content":"q"}]}`
	const usage = `"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":3}}`
	for name, test := range map[string]struct{ body, message, rest, want string }{
		"a text":               {plain, `{"content":"a <b>"}`, `,"finish_reason":"stop"`, `[{"type":"text","text":"a <b>"}],"stop_reason":"end_turn","stop_sequence":null,` + usage},
		"nothing":              {plain, `{"content":null}`, `,"finish_reason":"stop"`, `[],"stop_reason":"end_turn","stop_sequence":null,` + usage},
		"hidden thoughts":      {plain, `{"content":"a","reasoning_content":"h"}`, `,"finish_reason":"length"`, `[{"type":"text","text":"a"}],"stop_reason":"max_tokens","stop_sequence":null,` + usage},
		"thoughts":             {`{"thinking":{"type":"enabled","budget_tokens":1024},"messages":[{"role":"user","content":"q"}]}`, `{"content":"a","reasoning":"h"}`, "", `[{"type":"thinking","thinking":"h","signature":"unsigned"},{"type":"text","text":"a"}],"stop_reason":"end_turn","stop_sequence":null,` + usage},
		"omitted thoughts":     {`{"thinking":{"type":"adaptive","display":"omitted"},"messages":[{"role":"user","content":"q"}]}`, `{"content":"a","reasoning":"h"}`, "", `[{"type":"text","text":"a"}],"stop_reason":"end_turn","stop_sequence":null,` + usage},
		"a refusal":            {plain, `{"refusal":"no"}`, `,"finish_reason":"content_filter"`, `[{"type":"text","text":"no"}],"stop_reason":"refusal","stop_sequence":null,` + usage},
		"a stop sequence":      {`{"stop_sequences":["A","B"],"messages":[{"role":"user","content":"q"}]}`, `{"content":"a"}`, `,"finish_reason":"stop","matched_stop":"B"`, `[{"type":"text","text":"a"}],"stop_reason":"stop_sequence","stop_sequence":"B",` + usage},
		"a token as its end":   {`{"stop_sequences":["A","B"],"messages":[{"role":"user","content":"q"}]}`, `{"content":"a"}`, `,"finish_reason":"stop","stop_reason":128001`, `[{"type":"text","text":"a"}],"stop_reason":"end_turn","stop_sequence":null,` + usage},
		"tools":                {plain, `{"content":"t","tool_calls":[{"id":"i","function":{"name":"f","arguments":" {\"a\": 1.50}"}},{"id":"j","function":{"name":"g","arguments":""}}]}`, `,"finish_reason":"stop"`, `[{"type":"text","text":"t"},{"type":"tool_use","id":"i","name":"f","input":{"a":1.50}},{"type":"tool_use","id":"j","name":"g","input":{}}],"stop_reason":"tool_use","stop_sequence":null,` + usage},
		"arguments of no JSON": {plain, `{"tool_calls":[{"function":{"name":"f","arguments":"{\"a\":"}}]}`, `,"finish_reason":"length"`, `[{"type":"tool_use","id":"call_1_0","name":"f","input":{"INVALID_JSON":"{\"a\":"}}],"stop_reason":"max_tokens","stop_sequence":null,` + usage},
	} {
		want := `{"id":"msg_1","type":"message","role":"assistant","model":"tiny","content":` + test.want
		if got := whole(t, test.body, test.message, test.rest, Messages); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// Some servers answer with a whole completion although a stream was asked for.
func TestAWholeReplyInPlaceOfAStream(t *testing.T) {
	for api, body := range map[APIs]string{
		Messages:  `{"stream":true,"messages":[{"role":"user","content":"q"}]}`,
		Responses: `{"stream":true,"input":"q"}`,
	} {
		got := whole(t, body, `{"content":"a","tool_calls":[{"function":{"name":"f"}}]}`, `,"finish_reason":"tool_calls"`, api)
		if problem := validate(api, got, true); problem != "" || !strings.Contains(got, `"a"`) {
			t.Errorf("%s\n%s", problem, got)
		}
	}
}

func TestARepliesThatIsNoChatCompletion(t *testing.T) {
	for _, reply := range []string{``, `7`, `{}`, `{"choices":[]}`, `{"choices":[{}]}`, `{"choices":[{"message":null}]}`} {
		if err := Check([]byte(reply)); err != ErrNoChat {
			t.Errorf("%s: %v", reply, err)
		}
	}
}
