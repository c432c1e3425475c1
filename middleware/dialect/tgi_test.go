package dialect

import "testing"

var tgiStreams = []streamCase{
	{
		"TGI",
		Call{Route: Route{Spec: &tgiStreamSpec}},
		true, SSE,
		sse(`{"token":{"id":1,"text":"Hi"},"generated_text":null,"details":null}`, `{"token":{"id":2,"text":"."},"generated_text":"Hi.","details":{"finish_reason":"length","generated_tokens":2,"input_length":6}}`),
		"", sse(`{"token":{"id":2,"text":"."},"generated_text":"Hi.","details":null}`),
		Usage{Input: 6, Cached: 0, Output: 2},
		2,
	},
}

func TestTGIStreams(t *testing.T) { checkStreams(t, tgiStreams) }
