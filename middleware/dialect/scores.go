package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

// The operations of this file generate nothing: their calls cost what their input
// costs. What a server does not report is estimated from the text.

// inputOnly is what their replies report. Some servers report a total only; others,
// such as Cohere with its search units, report no tokens at all.
var inputOnly = meter.Shape{TotalIsInput: true}

// rerankSpec sorts documents by how well they answer a query, in the shape that
// Cohere, Jina, vLLM and llama.cpp share.
var rerankSpec = Spec{
	Dialect: OpenAI, Class: "rerank", Method: "POST", Paths: []string{"/v1/rerank", "/rerank"},
	Permission: PermissionRAG, NoOutput: true,
	answer: []string{"results", "data", "index"}, answerList: true, // bare results, of some servers
	request: requestShape{stream: streamRefused, pairs: true},
	reply:   inputOnly,
}

// scoreSpec says how well texts match: one with each of many, or each with its own.
// vLLM and SGLang have names of their own for both sides.
var scoreSpec = Spec{
	Dialect: OpenAI, Class: "score", Method: "POST", Paths: []string{"/v1/score", "/score"},
	Permission: PermissionRAG, NoOutput: true,
	answer:  []string{"data", "scores"},
	request: requestShape{stream: streamRefused, pairs: true},
	reply:   inputOnly,
}

// poolingSpec returns what the layers of a model make of a text (vLLM).
var poolingSpec = Spec{
	Dialect: OpenAI, Class: "pooling", Method: "POST", Paths: []string{"/pooling"},
	Permission: PermissionEmbeddings, NoOutput: true,
	answer:  []string{"data"},
	request: requestShape{stream: streamRefused},
	reply:   inputOnly,
}

// classifySpec sorts texts into classes (vLLM, SGLang).
var classifySpec = Spec{
	Dialect: OpenAI, Class: "classify", Method: "POST", Paths: []string{"/classify"},
	Permission: PermissionInference, NoOutput: true,
	answer: []string{"data", "embedding"}, answerList: true, // SGLang's bare list
	request: requestShape{stream: streamRefused},
	reply:   inputOnly,
}

// moderationsSpec says what is wrong with texts and pictures. OpenAI has a model for
// callers that name none, and reports no usage.
var moderationsSpec = Spec{
	Dialect: OpenAI, Class: "moderations", Method: "POST", Paths: []string{"/v1/moderations"},
	Permission: PermissionInference, NoOutput: true, ModelOptional: true,
	answer:  []string{"results"},
	request: requestShape{stream: streamRefused},
	reply:   inputOnly,
}

// tokenizeSpec and detokenizeSpec turn text into the numbers of its tokens and back
// (vLLM, SGLang, llama.cpp, TGI). No model runs, so that no tokens are used up.
var tokenizeSpec = Spec{
	Dialect: OpenAI, Class: "tokenize", Method: "POST", Paths: []string{"/tokenize", "/v1/tokenize"},
	Permission: PermissionInference, NoOutput: true, NoInput: true, ModelOptional: true,
	answer: []string{"tokens", "count", "start"}, answerList: true, // TGI's bare tokens
	request: requestShape{stream: streamIgnored},
}

var detokenizeSpec = Spec{
	Dialect: OpenAI, Class: "tokenize", Method: "POST", Paths: []string{"/detokenize", "/v1/detokenize"},
	Permission: PermissionInference, NoOutput: true, NoInput: true, ModelOptional: true,
	answer:  []string{"prompt", "text", "content"},
	request: requestShape{stream: streamIgnored},
}
