package dialect

import (
	"strings"
	"testing"
)

const (
	extension = `{"id":"c","choices":[{"index":0,"delta":{"content":"four","vendor":{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":1000},"finish_reason":"stop"}},"finish_reason":null}]}`

	withoutChoices = `{"id":"c","object":"chat.completion.chunk","usage":{"prompt_tokens":9,"completion_tokens":3}}`
)

// returns joins parts of a stream and ends their lines with CR.
func returns(parts ...string) string {
	return strings.ReplaceAll(strings.Join(parts, ""), "\n", "\r")
}

var openAIStreams = []streamCase{
	{"OpenAI", Call{Route: Route{Spec: &chatSpec}}, false, SSE, sse(delta, delta, finish, sumOf) + doneLine, "", doneLine, Usage{Input: 9, Cached: 4, Output: 3}, 2},
	{
		"OpenAI, the last text with everything else",
		Call{Route: Route{Spec: &chatSpec}},
		false, SSE,
		sse(delta, `{"id":"c","choices":[{"index":0,"delta":{"content":"four"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`) + doneLine, "", doneLine,
		Usage{Input: 9, Cached: 0, Output: 3},
		2,
	},
	{"OpenAI, usage taken out", Call{Route: Route{Spec: &chatSpec}}, true, SSE, sse(delta, finish, sumOf) + doneLine, sse(delta, finish), doneLine, Usage{Input: 9, Cached: 4, Output: 3}, 1},
	{
		"OpenAI, CRLF and comments",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		": ping\r\n\r\ndata:" + delta + "\r\n\r\nid: 7\r\ndata: " + sumOf + "\r\n\r\ndata: [DONE]\r\n\r\n", ": ping\r\n\r\ndata:" + delta + "\r\n\r\n", "data: [DONE]\r\n\r\n",
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"vLLM, null usage on every chunk",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		sse(strings.Replace(delta, "]}", `],"usage":null}`, 1), sumOf) + doneLine, sse(delta), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"vLLM, running totals",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE, sse(running, sumOf) + doneLine,
		sse(`{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}`), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"Ollama, zeros before the figures",
		Call{Route: Route{Spec: &completionsSpec}},
		true, SSE, sse(zeroSum, `{"choices":[{"text":"a"}],"usage":{"prompt_tokens":0,"completion_tokens":0}}`, sumOf) + doneLine,
		sse(`{"choices":[{"text":"a"}]}`), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"whole floats",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE, sse(delta, `{"id":"c","choices":[],"usage":{"prompt_tokens":65.0,"completion_tokens":6.5e1}}`) + doneLine, sse(delta), doneLine,
		Usage{Input: 65, Output: 65},
		1,
	},
	{
		"a vendor's extension that looks like the usage chunk",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE, sse(extension, finish, sumOf) + doneLine, sse(extension, finish), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"a vendor's extension beside the running total",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		sse(strings.TrimSuffix(extension, "}")+`,"usage":{"prompt_tokens":9,"completion_tokens":1}}`, finish, sumOf) + doneLine,
		sse(extension, finish), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"a usage chunk without choices",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE, sse(delta, finish, withoutChoices) + doneLine, sse(delta, finish), doneLine,
		Usage{Input: 9, Output: 3},
		1,
	},
	{
		"a usage chunk without choices, asked for",
		Call{Route: Route{Spec: &chatSpec}},
		false, SSE, sse(delta, finish, withoutChoices) + doneLine, sse(delta, finish, withoutChoices), doneLine,
		Usage{Input: 9, Output: 3},
		1,
	},
	{
		"choices with white space, usage first",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		sse(`{ "usage" : {"prompt_tokens": 9,"completion_tokens": 2} , "choices" : [ {"text" : "a", "text": "b"} ] }`, `{ "usage": {"prompt_tokens": 9, "completion_tokens": 3}, "choices": [ ] }`) + doneLine,
		sse(`{ "choices" : [ {"text" : "a", "text": "b"} ] }`), doneLine,
		Usage{Input: 9, Output: 3},
		1,
	},
	{
		"usage twice",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		sse(`{"usage":{"prompt_tokens":1},"usage":null,"choices":[{"text":"a"}],"usage":{"prompt_tokens":9,"completion_tokens":3},"id":"c"}`) + doneLine,
		sse(`{"choices":[{"text":"a"}],"id":"c"}`), doneLine,
		Usage{Input: 9, Output: 3},
		1,
	},
	{
		"null usage beside no choices",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE, sse(`{"choices":[],"prompt_filter_results":[],"usage":null}`, delta, sumOf) + doneLine,
		sse(`{"choices":[],"prompt_filter_results":[]}`, delta), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"null usage with white space",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		sse(`{"choices": [{"text": "a"}], "usage": null, "id": "c"}`, `{"choices": [{"text": "bc"}], "usage": null, "id": "c"}`, sumOf) + doneLine,
		sse(`{"choices": [{"text": "a"}], "id": "c"}`, `{"choices": [{"text": "bc"}], "id": "c"}`), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		2,
	},
	{
		"running totals with white space and something after them",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		sse(`{"choices": [{"text": "a"}], "usage": {"prompt_tokens": 9, "completion_tokens": 1}, "id": "c"}`, `{"choices": [{"text": "bc"}], "usage": {"prompt_tokens": 9, "completion_tokens": 22}, "id": "c"}`) + doneLine,
		sse(`{"choices": [{"text": "a"}], "id": "c"}`, `{"choices": [{"text": "bc"}], "id": "c"}`), doneLine,
		Usage{Input: 9, Output: 22},
		2,
	},
	{
		"usage on two data lines",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		sse(delta) + "id: 7\ndata: {\"id\":\"c\",\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n" + doneLine,
		sse(delta), doneLine,
		Usage{Input: 9, Output: 3},
		1,
	},
	{
		"usage and an answer on many data lines",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		"data\ndata: {\"choices\":\nevent: message\ndata:[{\"text\":\"a\"}],\ndata: \"usage\"\ndata: :{\"prompt_tokens\":9,\ndata:\ndata:   \"completion_tokens\":3}\ndata:}\nid: 7\n\n" + doneLine,
		"event: message\nid: 7\ndata:  {\"choices\": [{\"text\":\"a\"}] }\n\n", doneLine,
		Usage{Input: 9, Output: 3},
		1,
	},
	{
		"an answer without usage on two data lines",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		"data: {\"choices\":\ndata: [{\"text\":\"a\"}]}\n\n" + sse(sumOf) + doneLine,
		"data: {\"choices\":\ndata: [{\"text\":\"a\"}]}\n\n", doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"events without empty lines between them",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		"data: " + delta + "\ndata: " + running + "\ndata: " + sumOf + "\n\n" + doneLine,
		"data: " + delta + "\ndata: " + `{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}` + "\n\n", doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		2,
	},
	{
		"a byte order mark",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE, "\ufeff" + sse(running, sumOf) + doneLine,
		"\ufeff" + sse(`{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}`), doneLine,
		Usage{Input: 9, Cached: 4, Output: 3},
		1,
	},
	{
		"lines that end with CR",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE, returns(": ping\n\n", sse(delta, delta, running), "id: 7\n", sse(sumOf), doneLine),
		returns(": ping\n\n", sse(delta, delta, `{"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}`)), returns(doneLine),
		Usage{Input: 9, Cached: 4, Output: 3},
		3,
	},
	{
		"usage on two data lines that end with CR",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		returns("data: {\"choices\":[{\"text\":\"a\"}],\ndata: \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n", doneLine),
		"data: {\"choices\":[{\"text\":\"a\"}]}\r\r", returns(doneLine),
		Usage{Input: 9, Output: 3},
		1,
	},
	{
		"lines that end in all ways",
		Call{Route: Route{Spec: &chatSpec}},
		true, SSE,
		"data: " + delta + "\r\r\ndata: " + sumOf + "\r\n\rdata: " + delta + "\n\rdata: " + sumOf + "\r\r\n\ndata: [DONE]\r\r\n",
		"data: " + delta + "\r\r\ndata: " + delta + "\n\r\n", "data: [DONE]\r\r\n",
		Usage{Input: 9, Cached: 4, Output: 3},
		2,
	},
	{
		"Responses",
		Call{Route: Route{Spec: &responsesSpec}},
		true, SSE,
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n" +
			"event: response.completed\ndata: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":2}},\"type\":\"response.completed\"}\n\n",
		"", "event: response.completed\ndata: {\"response\":{\"output\":[],\"usage\":{\"input_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":1},\"output_tokens\":2}},\"type\":\"response.completed\"}\n\n",
		Usage{Input: 7, Cached: 1, Output: 2},
		1,
	},
}

func TestOpenAIStreams(t *testing.T) { checkStreams(t, openAIStreams) }
