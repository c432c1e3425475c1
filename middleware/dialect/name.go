package dialect

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

// descriptions say of each dialect what holds for all its operations. They stand in
// the files of their dialects.
var descriptions = [...]description{
	OpenAI:    openAI,
	Anthropic: anthropic,
	Aquin:     aquin,
	Aixplain:  aixplain,
	Ollama:    ollama,
	LlamaCpp:  llamaCpp,
	TGI:       tgi,
	SGLang:    sglang,
}

// description is what holds for all operations of a dialect.
type description struct {
	name string // in configuration files

	// prefixes are the beginnings of paths whose callers speak the dialect, also
	// where a path is not metered.
	prefixes []string
	// doubledSlash says that clients join base and path with one slash too many.
	doubledSlash bool

	// refusal makes the body of a refusal; nil: the common envelope.
	refusal func(refusal *Refusal, status int) any
	// refusalInStream says that the error that ends a stream has this shape too.
	refusalInStream bool
	// statuses are the statuses that differ from the common ones.
	statuses map[Reason]int
	// failures are the only statuses from 500 on that its clients know. Any other becomes
	// the first of them; none: all statuses are known.
	failures []int
	// noRetryHeaders says that clients must not see Retry-After.
	noRetryHeaders bool
	// limits are the headers that tell clients of their limits; nil: OpenAI's.
	limits *LimitHeaders
}

func (n Name) description() *description {
	return &descriptions[min(int(n), len(descriptions)-1)]
}

// String returns the dialect's name in configuration files.
func (n Name) String() string { return n.description().name }

// Names returns the names of all dialects.
func Names() []string {
	names := make([]string, len(descriptions))
	for i := range descriptions {
		names[i] = descriptions[i].name
	}
	return names
}

// ParseName returns the dialect with this name.
func ParseName(name string) (Name, bool) {
	for i := range descriptions {
		if name == descriptions[i].name {
			return Name(i), true
		}
	}
	return OpenAI, false
}

// LimitHeaders are the names of the headers that tell a client of its limits, in
// canonical form: the limit, what remains of it, and when it is whole again.
type LimitHeaders struct {
	Requests, Tokens [3]string
	// ResetAt says that the reset is a point in time and not a duration.
	ResetAt bool
}

// LimitHeaders returns the headers that the dialect's clients read.
func (n Name) LimitHeaders() *LimitHeaders {
	if headers := n.description().limits; headers != nil {
		return headers
	}
	return &openAILimits
}
