package dialect

import "github.com/penstockhq/penstock/middleware/dialect/internal/meter"

var ollama = description{name: "ollama"}

// ollamaRequest is the request of both operations that generate text.
var ollamaRequest = requestShape{
	cap:     capShape{name: "num_predict", within: memberOptions, negative: true},
	stream:  streamUnlessDeclined,
	options: setOf(memberOptions),
	images:  true,
}

var ollamaGenerateSpec = Spec{
	Dialect: Ollama, Class: "generate", Method: "POST", Paths: []string{"/api/generate"},
	Permission: PermissionInference,
	answer:     []string{"response"},
	request:    ollamaRequest,
	reply:      meter.Shape{End: meter.EndDone},
}

var ollamaChatSpec = Spec{
	Dialect: Ollama, Class: "chat", Method: "POST", Paths: []string{"/api/chat"},
	Permission: PermissionInference,
	answer:     []string{"message"},
	request:    ollamaRequest,
	reply:      meter.Shape{End: meter.EndDone},
}

var ollamaEmbedSpec = Spec{
	Dialect: Ollama, Class: "embeddings", Method: "POST", Paths: []string{"/api/embed"},
	Permission: PermissionEmbeddings, NoOutput: true,
	answer:  []string{"embeddings", "embedding"},
	request: requestShape{stream: streamRefused, images: true},
}
