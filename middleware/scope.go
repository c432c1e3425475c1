package middleware

// The words that limit a key to a class of paths.
const (
	// ScopeInference is every path on which a model answers.
	ScopeInference = "inference"
	// ScopeEmbeddings is every path on which a model makes embeddings.
	ScopeEmbeddings = "embeddings"
	// ScopeRAG is every path that the operator named beside these, such as those
	// of a retrieval service behind the same gate.
	ScopeRAG = "rag"
)
