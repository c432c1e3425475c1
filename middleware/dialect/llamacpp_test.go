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
