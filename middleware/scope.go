package middleware

import "github.com/penstockhq/penstock/middleware/dialect"

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

// scopeOf returns the scope that an operation needs; empty if any will do.
func scopeOf(operation dialect.Operation) string {
	switch operation {
	case dialect.Embeddings, dialect.OllamaEmbed:
		return ScopeEmbeddings
	case dialect.Custom:
		return ScopeRAG
	case dialect.Models, dialect.Poll:
		return "" // what a caller may see already
	default:
		return ScopeInference
	}
}
