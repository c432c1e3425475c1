package translate

import "testing"

func TestResponsesBecomeAChat(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"a text": {
			`{"input":"q","instructions":"Be short.","temperature":0.5,"top_p":1,"user":"u","store":true,"service_tier":"auto","include":["reasoning.encrypted_content"]}`,
			`{"model":"m","messages":[{"role":"system","content":"Be short."},{"role":"user","content":"q"}],"max_tokens":9,"temperature":0.5,"top_p":1,"user":"u"}`,
		},
		"items": {
			`{"instructions":"A","stream":true,"input":[{"role":"developer","content":"B"},{"type":"message","role":"user","content":[{"type":"input_text","text":"q"},{"type":"input_image","image_url":"u","detail":"low"},{"type":"input_file","filename":"f","file_data":"d"}]},
			 {"type":"message","role":"assistant","id":"x","status":"completed","content":[{"type":"output_text","text":"a","annotations":[]},{"type":"refusal","refusal":"no"}]},{"role":"system","content":"C"},{"role":"user","content":"z"}]}`,
			`{"model":"m","messages":[{"role":"system","content":"A\n\nB"},{"role":"user","content":[{"type":"text","text":"q"},{"type":"image_url","image_url":{"url":"u","detail":"low"}},{"type":"file","file":{"filename":"f","file_data":"d"}}]},{"role":"assistant","content":"a\nno"},{"role":"system","content":"C"},{"role":"user","content":"z"}],"max_tokens":9,"stream":true,"stream_options":{"include_usage":true}}`,
		},
		"calls of tools": {
			`{"input":[{"role":"user","content":"q"},{"type":"reasoning","id":"r","summary":[],"content":[{"type":"reasoning_text","text":"hm"}],"encrypted_content":null},{"role":"assistant","content":"t"},
			 {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call","call_id":"c2","name":"g","arguments":"{\"a\":1}"},
			 {"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"r1"},{"type":"input_image","image_url":"u"}]},{"type":"function_call_output","call_id":"c2","output":"r2"},
			 {"type":"reasoning","summary":[{"type":"summary_text","text":"ah"}]},{"type":"function_call","call_id":"c3","name":"f","arguments":""},{"type":"function_call_output","call_id":"c3","output":"r3"}]}`,
			`{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"t","reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{\"a\":1}"}}]},{"role":"tool","content":"r1","tool_call_id":"c1"},{"role":"tool","content":"r2","tool_call_id":"c2"},{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]},{"role":"assistant","content":null,"reasoning_content":"ah","tool_calls":[{"id":"c3","type":"function","function":{"name":"f","arguments":""}}]},{"role":"tool","content":"r3","tool_call_id":"c3"}],"max_tokens":9}`,
		},
		"a schema and an effort": {
			`{"input":"q","text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true},"verbosity":"low"},"reasoning":{"effort":"low","summary":"auto"}}`,
			`{"model":"m","messages":[{"role":"user","content":"q"}],"max_tokens":9,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true}},"reasoning_effort":"low"}`,
		},
		"an object": {
			`{"input":"q","text":{"format":{"type":"json_object"}},"truncation":"disabled"}`,
			`{"model":"m","messages":[{"role":"user","content":"q"}],"max_tokens":9,"response_format":{"type":"json_object"}}`,
		},
		"a text as format": {
			`{"input":"q","text":{"format":{"type":"text"}},"tools":null,"reasoning":null,"instructions":null}`,
			`{"model":"m","messages":[{"role":"user","content":"q"}],"max_tokens":9}`,
		},
	} {
		if got := sent(t, Responses, test.body); got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestWhatNeedsMoreThanAChatIsRefused(t *testing.T) {
	for body, param := range map[string]string{
		`{}`:                                      "input",
		`{"input":[]}`:                            "input",
		`{"input":7}`:                             "input",
		`{"input":[7]}`:                           "input[0]",
		`{"input":[{"role":"x"}]}`:                "input[0].role",
		`{"input":[{"type":"item_reference"}]}`:   "input[0].type",
		`{"input":[{"type":"web_search_call"}]}`:  "input[0].type",
		`{"input":[{"role":"user","content":7}]}`: "input[0].content",
		`{"input":[{"role":"user","content":[{"type":"input_audio"}]}]}`:                   "input[0].content[0].type",
		`{"input":[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}]}`:     "input[0].content[0]",
		`{"input":[{"role":"user","content":[{"type":"input_file","file_url":"f"}]}]}`:     "input[0].content[0]",
		`{"input":[{"role":"system","content":[{"type":"input_image","image_url":"u"}]}]}`: "input[0].content",
		`{"input":[{"type":"function_call_output","output":7}]}`:                           "input[0].output",
		`{"input":[{"type":"reasoning","content":7}]}`:                                     "input[0].content",
		`{"input":"q","instructions":7}`:                                                   "instructions",
		`{"input":"q","truncation":"auto"}`:                                                "truncation",
		`{"input":"q","top_logprobs":3}`:                                                   "top_logprobs",
		`{"input":"q","include":["message.output_text.logprobs"]}`:                         "include",
		`{"input":"q","text":7}`:                                                           "text",
		`{"input":"q","text":{"format":{"type":"json_schema"}}}`:                           "text.format",
		`{"input":"q","text":{"format":{"type":"grammar"}}}`:                               "text.format.type",
		`{"input":"q","reasoning":7}`:                                                      "reasoning",
		`{"input":"q","reasoning":{"effort":"x"}}`:                                         "reasoning.effort",
		`{"input":"q","temperature":"x"}`:                                                  "temperature",
	} {
		refused(t, Responses, body, param)
	}
}
