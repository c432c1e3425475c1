package dialect

import "testing"

var llamaCppStreams = []streamCase{
	{
		"llama.cpp",
		Call{Route: Route{Spec: &llamaCppSpec}},
		true, SSE,
		sse(`{"content":"Hi","stop":false}`, `{"content":"","stop":true,"tokens_predicted":8,"tokens_evaluated":21,"tokens_cached":20}`),
		"", sse(`{"content":"","stop":true,"tokens_predicted":8,"tokens_evaluated":21,"tokens_cached":20}`),
		Usage{Input: 21, Cached: 0, Output: 8},
		1,
	},
}

func TestLlamaCppStreams(t *testing.T) { checkStreams(t, llamaCppStreams) }

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
