package translate

import (
	"errors"
	"strings"
	"testing"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// sent returns the body that a call becomes, with a cap of 9 tokens.
func sent(t *testing.T, api APIs, body string) string {
	t.Helper()
	call, err := Read(api, []byte(body), strings.Contains(body, `"stream":true`))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return string(call.Body("m", 9, false))
}

// refused checks that a call is refused because of a member.
func refused(t *testing.T, api APIs, body, param string) {
	t.Helper()
	_, err := Read(api, []byte(body), strings.Contains(body, `"stream":true`))
	var mistake *dialect.RequestError
	if !errors.As(err, &mistake) || mistake.Param != param || !strings.Contains(mistake.Message, param) {
		t.Errorf("%s: %v (%+v), want an error about %s", body, err, mistake, param)
	}
}

func TestMessagesBecomeAChat(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"texts and a system": {
			`{"system":[{"type":"text","text":"Be","cache_control":{"type":"ephemeral"}},{"type":"text","text":"short."}],"messages":[
			 {"role":"user","content":"a <b>"},{"role":"assistant","content":[{"type":"text","text":"c"}]},{"role":"user","content":[{"type":"text","text":"d"},{"type":"text","text":"e"}]}],
			 "temperature":0.5,"top_p":0.9,"top_k":5,"stop_sequences":["x"],"metadata":{"user_id":"u"},"service_tier":"auto"}`,
			`{"model":"m","messages":[{"role":"system","content":"Be\nshort."},{"role":"user","content":"a <b>"},{"role":"assistant","content":"c"},{"role":"user","content":"d\ne"}],"max_tokens":9,"temperature":0.5,"top_p":0.9,"top_k":5,"stop":["x"],"user":"u"}`,
		},
		"pictures and documents": {
			`{"messages":[{"role":"user","content":[
			 {"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"image","source":{"type":"url","url":"https://a/b"}},
			 {"type":"document","title":"T","context":"C","source":{"type":"text","media_type":"text/plain","data":"body"}},
			 {"type":"document","source":{"type":"content","content":[{"type":"text","text":"one"}]}},
			 {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"BB=="}},
			 {"type":"search_result","title":"S","source":"https://s","content":[{"type":"text","text":"found"}]}]}]}`,
			`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},{"type":"image_url","image_url":{"url":"https://a/b"}},{"type":"text","text":"T\nC\nbody"},{"type":"text","text":"one"},{"type":"file","file":{"filename":"document","file_data":"data:application/pdf;base64,BB=="}},{"type":"text","text":"S\nhttps://s\nfound"}]}],"max_tokens":9}`,
		},
		"calls of tools and their results": {
			`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"t"},
			 {"type":"tool_use","id":"i1","name":"f","input":{"a": 1}},{"type":"tool_use","id":"i2","name":"g","input":{}}]},
			 {"role":"user","content":[{"type":"text","text":"more"},{"type":"tool_result","tool_use_id":"i1","content":[{"type":"text","text":"r"},{"type":"image","source":{"type":"url","url":"u"}}]},
			 {"type":"tool_result","tool_use_id":"i2","is_error":true,"content":"broken"}]}]}`,
			`{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"t","reasoning_content":"hm","tool_calls":[{"id":"i1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"i2","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","content":"r","tool_call_id":"i1"},{"role":"tool","content":"Error:\nbroken","tool_call_id":"i2"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}},{"type":"text","text":"more"}]}],"max_tokens":9}`,
		},
		"a call without a text": {
			`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"i","name":"f"}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"i"}]}]}`,
			`{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"i","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","content":"","tool_call_id":"i"}],"max_tokens":9}`,
		},
		"a budget to think": {
			`{"messages":[{"role":"user","content":"q"}],"thinking":{"type":"enabled","budget_tokens":4096},"stream":true}`,
			`{"model":"m","messages":[{"role":"user","content":"q"}],"max_tokens":9,"reasoning_effort":"medium","stream":true,"stream_options":{"include_usage":true}}`,
		},
		"an effort and a schema": {
			`{"messages":[{"role":"user","content":"q"}],"thinking":{"type":"adaptive"},"output_config":{"effort":"max","format":{"type":"json_schema","schema":{"type":"object"}}}}`,
			`{"model":"m","messages":[{"role":"user","content":"q"}],"max_tokens":9,"response_format":{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"},"strict":true}},"reasoning_effort":"high"}`,
		},
		"what changes nothing": {
			`{"messages":[{"role":"user","content":"q"}],"thinking":{"type":"disabled"},"container":null,"mcp_servers":[],"context_management":{"edits":[]},"cache_control":{"type":"ephemeral"}}`,
			`{"model":"m","messages":[{"role":"user","content":"q"}],"max_tokens":9}`,
		},
	} {
		if got := sent(t, Messages, test.body); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestWhatAChatCannotExpressIsRefused(t *testing.T) {
	const hello = `{"role":"user","content":"hi"}`
	for body, param := range map[string]string{
		`{}`:                          "messages",
		`{"messages":[]}`:             "messages",
		`{"messages":"x"}`:            "messages",
		`{"messages":[{"role":"x"}]}`: "messages[0].role",
		`{"messages":[{"role":"user","content":7}]}`:                                                                                                     "content",
		`{"messages":[` + hello + `,{"role":"assistant","content":"I"}]}`:                                                                                "messages",
		`{"messages":[{"role":"user","content":[{"type":"container_upload"}]}]}`:                                                                         "messages[0].content[0].type",
		`{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"file","file_id":"f"}}]}]}`:                                             "messages[0].content[0].source.type",
		`{"messages":[{"role":"user","content":[{"type":"image","source":"x"}]}]}`:                                                                       "messages[0].content[0].source",
		`{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"url","url":"u"}}]}]}`:                                               "messages[0].content[0].source.type",
		`{"messages":[` + hello + `,{"role":"assistant","content":[{"type":"server_tool_use","id":"i","name":"web_search","input":{}}]},` + hello + `]}`: "messages[1].content[0].type",
		`{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"i","content":[{"type":"tool_reference"}]}]}]}`:                      "messages[0].content[0].content[0].type",
		`{"messages":[` + hello + `],"container":"c"}`:                                                                                                   "container",
		`{"messages":[` + hello + `],"mcp_servers":[{"url":"u"}]}`:                                                                                       "mcp_servers",
		`{"messages":[` + hello + `],"thinking":{"type":"x"}}`:                                                                                           "thinking.type",
		`{"messages":[` + hello + `],"output_config":{"effort":"x"}}`:                                                                                    "output_config.effort",
		`{"messages":[` + hello + `],"output_format":{"type":"text"}}`:                                                                                   "output_format",
		`{"messages":[` + hello + `],"tools":[{"type":"web_search_20250305"}]}`:                                                                          "tools[0].type",
		`{"messages":[` + hello + `],"tool_choice":{"type":"any"}}`:                                                                                      "tool_choice",
		`{"messages":[` + hello + `],"tools":[{"name":"f"}],"tool_choice":{"type":"x"}}`:                                                                 "tool_choice.type",
		`{"messages":[` + hello + `],"temperature":"hot"}`:                                                                                               "temperature",
	} {
		refused(t, Messages, body, param)
	}
}
