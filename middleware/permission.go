package middleware

// The classes of paths that a key may be allowed to use.
const (
	// PermissionInference is every path on which a model answers.
	PermissionInference = "inference"
	// PermissionEmbeddings is every path on which a model makes embeddings.
	PermissionEmbeddings = "embeddings"
	// PermissionRAG is every path that the operator named beside these, such as those
	// of a retrieval service behind the same gate.
	PermissionRAG = "rag"
)
