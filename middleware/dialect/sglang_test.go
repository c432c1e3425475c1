package dialect

import "testing"

var sglangStreams = []streamCase{
	{
		"SGLang",
		Call{Route: Route{Spec: &sglangSpec}},
		true, SSE,
		sse(`{"text":"Hi","meta_info":{"prompt_tokens":4,"completion_tokens":1,"cached_tokens":2,"finish_reason":null}}`, `{"text":"Hi you","meta_info":{"prompt_tokens":4,"completion_tokens":2,"cached_tokens":2,"finish_reason":{"type":"stop"}}}`) + doneLine,
		"", doneLine,
		Usage{Input: 4, Cached: 2, Output: 2},
		2,
	},
}

func TestSGLangStreams(t *testing.T) { checkStreams(t, sglangStreams) }
