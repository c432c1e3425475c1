package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

// rerankSpec sorts documents by how well they answer a query, in the shape that
// Cohere, Jina, vLLM and llama.cpp share. Nothing is generated, so the call costs
// what its query and its documents cost. Some servers report that as a total only;
// Cohere reports search units, which are no tokens: then the text is estimated.
var rerankSpec = Spec{
	Dialect: OpenAI, Class: "rerank", Method: "POST", Paths: []string{"/v1/rerank", "/rerank"},
	Permission: PermissionRAG, NoOutput: true,
	answer: []string{"results", "data", "index"}, answerList: true, // bare results, of some servers
	request: requestShape{stream: streamRefused, pairs: true},
	reply:   meter.Shape{TotalIsInput: true},
}
