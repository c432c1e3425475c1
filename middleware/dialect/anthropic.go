package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

var anthropic = description{
	name:     "anthropic",
	prefixes: []string{"/v1/messages"},
	statuses: map[Reason]int{Overloaded: 529}, // Anthropic's own
	limits: &LimitHeaders{
		Requests: [3]string{
			"Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset",
		},
		Tokens: [3]string{
			"Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset",
		},
		ResetAt: true,
	},
}

var messagesSpec = Spec{
	Dialect: Anthropic, Class: "messages", Method: "POST", Paths: []string{"/v1/messages"},
	Permission: PermissionInference,
	answer:     []string{"content"},
	request:    requestShape{cap: capShape{name: "max_tokens", obeyed: setOf(memberMaxTokens)}},
	reply: meter.Shape{
		Events: meter.Typed,
		Early:  "message_start", Framed: "content_block_delta",
		Last: []string{"message_stop"}, Failures: []string{"error"},
		CachedApart: true,
	},
}

// countTokensSpec asks how many tokens the prompt of a message has. vLLM and
// llama-server count it, others do not know the path.
var countTokensSpec = Spec{
	Dialect: Anthropic, Class: "count_tokens", Method: "POST", Paths: []string{"/v1/messages/count_tokens"},
	Permission: PermissionInference, Handling: CountTokens, NoOutput: true,
	request: requestShape{stream: streamIgnored},
}
