package dialect

import "testing"

var anthropicStreams = []streamCase{
	{
		"Anthropic",
		Call{Route: Route{Spec: &messagesSpec}},
		true, SSE,
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":5,\"cache_creation_input_tokens\":2,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n" +
			"event: ping\ndata: {\"type\": \"ping\"}\n\n" +
			"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n" +
			"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_tokens\":0,\"output_tokens\":12}}\n\n" +
			"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n", "", "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		Usage{Input: 11, Cached: 4, Output: 12},
		1,
	},
}

func TestAnthropicStreams(t *testing.T) { checkStreams(t, anthropicStreams) }
