package dialect

import (
	"github.com/penstockhq/penstock/middleware/dialect/internal/mediafile"
	"github.com/penstockhq/penstock/middleware/dialect/internal/meter"
)

// openAI is the dialect of everything that has no shape of its own.
var openAI = description{name: "openai"}

var openAILimits = LimitHeaders{
	Requests: [3]string{"X-Ratelimit-Limit-Requests", "X-Ratelimit-Remaining-Requests", "X-Ratelimit-Reset-Requests"},
	Tokens:   [3]string{"X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens"},
}

var chatSpec = Spec{
	Dialect: OpenAI, Class: "chat", Method: "POST", Paths: []string{"/v1/chat/completions"},
	Permission: PermissionInference,
	answer:     []string{"choices"},
	request: requestShape{
		cap:   capShape{name: "max_tokens", obeyed: setOf(memberMaxTokens, memberMaxCompletionTokens)},
		usage: usageStreamOptions,
	},
	reply: meter.Shape{Events: meter.Chunks, OnRequest: true},
}

var completionsSpec = Spec{
	Dialect: OpenAI, Class: "completions", Method: "POST", Paths: []string{"/v1/completions"},
	Permission: PermissionInference, RepeatsPrompt: true,
	answer: []string{"choices"},
	request: requestShape{
		// A cap of 0 scores the prompt.
		cap:   capShape{name: "max_tokens", obeyed: setOf(memberMaxTokens), zero: true},
		usage: usageStreamOptions,
		media: []mediaMember{{"prompt_embeds", mediafile.Embedding}},
	},
	reply: meter.Shape{Events: meter.Chunks, OnRequest: true},
}

var embeddingsSpec = Spec{
	Dialect: OpenAI, Class: "embeddings", Method: "POST", Paths: []string{"/v1/embeddings"},
	Permission: PermissionEmbeddings, NoOutput: true,
	answer:  []string{"data", "embeddings"},
	request: requestShape{stream: streamRefused},
}

const remembered = "is not supported: the cost of input that only the server remembers is not known; send all of it"

var responsesSpec = Spec{
	Dialect: OpenAI, Class: "responses", Method: "POST", Paths: []string{"/v1/responses"},
	Permission: PermissionInference,
	answer:     []string{"output"},
	request: requestShape{
		cap: capShape{name: "max_output_tokens", obeyed: setOf(memberMaxOutputTokens)},
		refuses: map[memberID]string{
			memberBackground:       "is not supported: an answer that is produced in the background cannot be metered",
			memberPreviousResponse: remembered,
			memberConversation:     remembered,
			memberPrompt:           remembered, // a template by its id; a text is none of this API's
		},
	},
	reply: meter.Shape{
		Events: meter.Typed,
		Piece:  ".delta", // events at the end of a part, an item and the response repeat the pieces
		Last:   []string{"response.completed", "response.incomplete"}, Failures: []string{"response.failed", "error"},
	},
}

var modelsSpec = Spec{
	Dialect: OpenAI, Class: "models", Method: "GET", Paths: []string{"/v1/models"},
	Handling: ListModels,
}

// modelSpec tells of one model. The slash in a name may be escaped or not.
var modelSpec = Spec{
	Dialect: OpenAI, Class: "models", Method: "GET", Paths: []string{"/v1/models/"},
	Handling: DescribeModel, ModelInPath: true, LongTarget: true,
}
