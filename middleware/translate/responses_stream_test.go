package translate

import (
	"encoding/json"
	"testing"
)

func TestTheEventsOfAResponse(t *testing.T) {
	for name, want := range map[string][]string{
		"a text": {
			"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
			"response.output_text.delta", "response.output_text.delta", "response.output_text.done",
			"response.content_part.done", "response.output_item.done", "response.completed",
		},
		"one tool": {
			"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
			"response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done",
			"response.output_item.added", "response.function_call_arguments.delta", "response.function_call_arguments.delta",
			"response.function_call_arguments.done", "response.output_item.done", "response.completed",
		},
		"a refusal": {
			"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
			"response.output_text.delta", "response.output_text.done", "response.content_part.done", "response.output_item.done",
			"response.output_item.added", "response.content_part.added", "response.refusal.delta", "response.refusal.done",
			"response.content_part.done", "response.output_item.done", "response.incomplete",
		},
	} {
		got, _, err := run(testCall(t, Responses), upstreams[name], 1000)
		list, _ := events(got)
		if err != nil || len(list) != len(want) {
			t.Errorf("%s: %v\n%s", name, err, got)
			continue
		}
		for i := range want {
			if list[i].Type != want[i] {
				t.Errorf("%s: event %d is %s, want %s", name, i, list[i].Type, want[i])
			}
		}
	}
}

func TestAWholeResponse(t *testing.T) {
	const plain = `{"input":"q","instructions":"i","metadata":{"a":"b"},"store":true,"max_output_tokens":50,"tools":[{"type":"function","name":"f"}]}`
	const head = `{"id":"resp_1","object":"response","created_at":7,"status":"`
	const echo = `"instructions":"i","max_output_tokens":50,"model":"tiny","output":`
	const tail = `,"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"store":false,"temperature":null,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[{"type":"function","name":"f"}],"top_p":null,"truncation":"disabled","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12},"user":null,"metadata":{"a":"b"}}`
	for name, test := range map[string]struct{ message, rest, state, output string }{
		"a text": {
			`{"content":"a","reasoning_content":"h"}`, `,"finish_reason":"stop"`, `completed","background":false,"error":null,"incomplete_details":null,`,
			`[{"id":"rs_1_0","type":"reasoning","status":"completed","summary":[],"content":[{"type":"reasoning_text","text":"h"}]},{"id":"msg_1_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}]}]`,
		},
		"a cut text": {
			`{"content":"a"}`, `,"finish_reason":"length"`, `incomplete","background":false,"error":null,"incomplete_details":{"reason":"max_output_tokens"},`,
			`[{"id":"msg_1_0","type":"message","status":"incomplete","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}]}]`,
		},
		"tools": {
			`{"content":null,"tool_calls":[{"id":"i","function":{"name":"f","arguments":"{}"}},{"id":"j","function":{"name":"f","arguments":"{\"a\":1}"}}]}`, `,"finish_reason":"tool_calls"`, `completed","background":false,"error":null,"incomplete_details":null,`,
			`[{"id":"fc_1_0","type":"function_call","status":"completed","call_id":"i","name":"f","arguments":"{}"},{"id":"fc_1_1","type":"function_call","status":"completed","call_id":"j","name":"f","arguments":"{\"a\":1}"}]`,
		},
		"nothing": {`{"content":""}`, "", `completed","background":false,"error":null,"incomplete_details":null,`, `[]`},
	} {
		got, want := whole(t, plain, test.message, test.rest, Responses), head+test.state+echo+test.output+tail
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: no JSON", name)
		}
	}
}
