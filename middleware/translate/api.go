package translate

import (
	"slices"

	"github.com/penstockhq/penstock/middleware/dialect"
)

// APIs is a set of APIs whose calls can be turned into chat completions.
type APIs uint8

// The APIs.
const (
	Messages  APIs = 1 << iota // Anthropic's, POST /v1/messages
	Responses                  // OpenAI's, POST /v1/responses

	None APIs = 0
	All       = Messages | Responses
)

// names are the APIs' names in configuration files, which are also the classes of their
// operations.
var names = map[string]APIs{"messages": Messages, "responses": Responses}

// Names returns the names of the APIs in configuration files, in order.
func Names() []string { return []string{"messages", "responses"} }

// Named returns the API with this name, None if there is none. The classes of a dialect's
// operations are such names.
func Named(name string) APIs { return names[name] }

// Has says that the set holds an API.
func (a APIs) Has(api APIs) bool { return a&api != 0 }

// kinds are the APIs that upstreams of a kind lack, all others held by what their own
// documentation says. Every kind has the chat API.
//
//	vllm      both: docs.vllm.ai, Online Serving (Messages since 0.11, Responses since 0.10)
//	sglang    both: docs.sglang.io, Anthropic-Compatible API; its server has /v1/responses
//	llamacpp  both: ggml-org/llama.cpp, tools/server/README.md, since January 2026
//	ollama    both: docs.ollama.com, Anthropic compatibility (since 0.14) and OpenAI
//	          compatibility (Responses without state, since 0.13.3)
//	tgi       neither: huggingface.co/docs/text-generation-inference, Messages API, which
//	          is its name for chat completions
//	penstock  neither: the bundled backend
var kinds = map[string]APIs{"tgi": All, "penstock": All}

// Lacking returns the APIs that upstreams of a kind lack. Of a kind that is not known
// nothing is said to be missing.
func Lacking(kind string) APIs { return kinds[kind] }

// natives are the kinds that have the paths of a dialect. A dialect that is not listed is
// that of more kinds, or of the gate.
var natives = map[dialect.Name][]string{
	dialect.Ollama:   {"ollama"},
	dialect.LlamaCpp: {"llamacpp"},
	dialect.TGI:      {"tgi"},
	dialect.SGLang:   {"sglang"},
}

// paths are all that upstreams of a kind have, where that is known for certain.
var paths = map[string][]string{
	"penstock": {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/tokenize", "/v1/models", "/v1/models/", "/api/infer"},
}

// Foreign says that upstreams of a kind are known not to have an operation.
func Foreign(kind string, operation *dialect.Spec) bool {
	if all, certain := paths[kind]; certain {
		return len(operation.Paths) > 0 && !slices.Contains(all, operation.Paths[0])
	}
	known, listed := natives[operation.Dialect]
	return listed && kind != "" && !slices.Contains(known, kind) || Lacking(kind).Has(Named(operation.Class))
}
