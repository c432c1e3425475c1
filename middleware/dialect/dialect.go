// Package dialect knows the shapes of requests, replies and errors that clients
// of language models speak, and reads out of them what the gate has to know:
// which model, how much at most, and how much it was.
//
// It reads and edits bytes; it holds no connection and no clock.
package dialect

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Name is a dialect: the shape of requests, replies and errors.
type Name uint8

// The dialects. OpenAI is the default for everything that has no shape of its own.
const (
	OpenAI Name = iota
	Anthropic
	Aquin
	Aixplain
	Ollama
	LlamaCpp
	TGI
	SGLang
)

var names = [...]string{"openai", "anthropic", "aquin", "aixplain", "ollama", "llamacpp", "tgi", "sglang"}

// String returns the dialect's name in configuration files.
func (n Name) String() string { return names[min(int(n), len(names)-1)] }

// ParseName returns the dialect with this name.
func ParseName(name string) (Name, bool) {
	for i, known := range names {
		if name == known {
			return Name(i), true
		}
	}
	return OpenAI, false
}

// Operation is what a call asks for. It decides which members of the request
// and of the reply are read.
type Operation uint8

// The operations.
const (
	OperationNone Operation = iota
	Chat
	Completions
	Embeddings
	Responses
	Models       // GET, the list of models
	Messages     // Anthropic
	Infer        // Aquin
	Execute      // aiXplain, answered at once
	ExecuteAsync // aiXplain, answered with an address to poll
	Poll         // aiXplain, GET of that address
	OllamaGenerate
	OllamaChat
	OllamaEmbed
	LlamaCompletion
	Generate       // TGI or SGLang; the body tells which
	GenerateStream // TGI
	Custom         // a path that the operator named; its body is not read
)

var operationNames = [...]string{
	"none", "chat", "completions", "embeddings", "responses", "models", "messages", "infer",
	"execute", "execute", "execute", "generate", "chat", "embeddings", "completions", "generate",
	"generate", "custom",
}

// String returns the class of path that the operation belongs to.
func (o Operation) String() string { return operationNames[min(int(o), len(operationNames)-1)] }

// Route is what a path means.
type Route struct {
	Name      Name
	Operation Operation
	// Target is what the path names: the model of an aiXplain run, or the id of
	// the run to poll. It is unescaped.
	Target string
}

// Translated says that the call goes to upstreams as an OpenAI chat completion.
func (r Route) Translated() bool { return r.Name == Aquin || r.Name == Aixplain }

var posts = map[string]Route{
	"/v1/chat/completions": {Name: OpenAI, Operation: Chat},
	"/v1/completions":      {Name: OpenAI, Operation: Completions},
	"/v1/embeddings":       {Name: OpenAI, Operation: Embeddings},
	"/v1/responses":        {Name: OpenAI, Operation: Responses},
	"/v1/messages":         {Name: Anthropic, Operation: Messages},
	"/api/infer":           {Name: Aquin, Operation: Infer},
	"/api/v1/model":        {Name: Aquin, Operation: Infer},
	"/api/generate":        {Name: Ollama, Operation: OllamaGenerate},
	"/api/chat":            {Name: Ollama, Operation: OllamaChat},
	"/api/embed":           {Name: Ollama, Operation: OllamaEmbed},
	"/completion":          {Name: LlamaCpp, Operation: LlamaCompletion},
	"/generate":            {Name: TGI, Operation: Generate},
	"/generate_stream":     {Name: TGI, Operation: GenerateStream},
}

// Classify says what a request's method and escaped path mean. It knows only
// paths that it can meter: everything else is not found, and it is for the
// caller to refuse it. An unknown method on a known path is not found either.
func Classify(method, escapedPath string) (Route, bool) {
	if method == "POST" {
		if route, ok := posts[escapedPath]; ok {
			return route, true
		}
	} else if method == "GET" && escapedPath == "/v1/models" {
		return Route{Name: OpenAI, Operation: Models}, true
	}
	return classifyAixplain(method, escapedPath)
}

// classifyAixplain matches the paths that carry an id. Clients join base and
// path with one slash too many, and ids may hold an escaped slash.
func classifyAixplain(method, path string) (Route, bool) {
	if strings.HasPrefix(path, "//") {
		path = path[1:]
	}
	for _, prefix := range aixplainPaths {
		if method != prefix.method || !strings.HasPrefix(path, prefix.path) {
			continue
		}
		target, ok := unescapeSegment(path[len(prefix.path):])
		if !ok {
			return Route{}, false
		}
		return Route{Name: Aixplain, Operation: prefix.operation, Target: target}, true
	}
	return Route{}, false
}

var aixplainPaths = []struct {
	method, path string
	operation    Operation
}{
	{"POST", "/api/v2/execute/", Execute},
	{"POST", "/api/v1/execute/", ExecuteAsync},
	{"GET", "/api/v1/data/", Poll},
}

// NameOf returns the dialect whose errors a path's callers understand, also for
// paths that are not metered.
func NameOf(escapedPath string) Name {
	if route, ok := posts[escapedPath]; ok {
		return route.Name
	}
	path := strings.TrimPrefix(escapedPath, "/")
	for _, prefix := range []string{"/api/v1/execute", "/api/v2/execute", "/api/v1/data", "/sdk/", "/v2/models"} {
		if strings.HasPrefix("/"+strings.TrimPrefix(path, "/"), prefix) {
			return Aixplain
		}
	}
	if strings.HasPrefix(escapedPath, "/v1/messages") {
		return Anthropic
	}
	return OpenAI
}

// unescapeSegment unescapes one path segment; more than one is refused, and so is
// what is too long to name a model.
func unescapeSegment(escaped string) (string, bool) {
	if escaped == "" || strings.Contains(escaped, "/") {
		return "", false
	}
	segment, err := url.PathUnescape(escaped)
	return segment, err == nil && segment != "" && len(segment) <= maxModelName && utf8.ValidString(segment)
}
