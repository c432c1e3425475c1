package balance

import (
	"fmt"
	"slices"
	"strings"
)

// Kind names the software of an inference server.
type Kind string

// The kinds of upstreams. An empty Kind is any server that speaks the OpenAI
// API.
const (
	KindPenstock Kind = "penstock"
	KindVLLM     Kind = "vllm"
	KindSGLang   Kind = "sglang"
	KindLlamaCPP Kind = "llamacpp"
	KindOllama   Kind = "ollama"
	KindTGI      Kind = "tgi"
)

// Kinds lists every kind that an operator may name.
func Kinds() []Kind {
	return []Kind{KindPenstock, KindVLLM, KindSGLang, KindLlamaCPP, KindOllama, KindTGI}
}

func kindNames() []string {
	names := make([]string, 0, len(Kinds()))
	for _, kind := range Kinds() {
		names = append(names, string(kind))
	}
	return names
}

// MaxWeight bounds the weight of one upstream, so that the sum over any number
// of upstreams that fits into memory also fits into an int.
const MaxWeight = 1_000_000

// MaxKVTokens bounds the size of one upstream's cache.
const MaxKVTokens = 1_000_000_000

// Upstream is what the operator says about one inference server.
type Upstream struct {
	// The dial address, exactly as `reverse_proxy` lists it, for example
	// `localhost:9100`. An address that the proxy does not list is an error.
	Address string `json:"address"`

	// How fast this upstream is, or which share of the calls it gets, relative to the
	// others. From 0 to 1000000; one with 0 is drained: it finishes what it runs and
	// gets no new calls. Default: 1.
	Weight *int `json:"weight,omitempty"`

	// How many calls the server runs at the same time. An upstream with all its
	// slots in use is chosen only if no other upstream has a free one.
	// Default: 0, which means that the number is not known and never binds.
	Slots int `json:"slots,omitempty"`

	// The models that the server has. Calls for other models go elsewhere, and calls
	// for these come here rather than to a server that would have to load them.
	// Default: every model.
	Models []string `json:"models,omitempty"`

	// How many tokens the server's cache of prompts holds. What it must have dropped
	// to make room attracts no calls any more. Default: 0, which means that the number
	// is not known.
	KVTokens int `json:"kv_tokens,omitempty"`

	// The server's software: `penstock`, `vllm`, `sglang`, `llamacpp`, `ollama`
	// or `tgi`. Default: any server that speaks the OpenAI API.
	Kind Kind `json:"kind,omitempty"`

	// Whether the server's own figures are believed when a call is charged: the compute
	// time that it reports, and tokens beyond what the call asked for, such as those
	// of images or of a system prompt that the server adds. They are charged as far
	// as balance and budget reach. Default: true for the kind `penstock`, else false.
	Trusted *bool `json:"trusted,omitempty"`
}

// Serves reports whether the upstream has a model. An empty model stands for a
// call that runs none: every upstream serves it.
func (u *Upstream) Serves(model string) bool {
	return model == "" || len(u.Models) == 0 || slices.Contains(u.Models, model)
}

// IsTrusted reports whether the upstream's own figures are believed.
func (u *Upstream) IsTrusted() bool {
	if u.Trusted != nil {
		return *u.Trusted
	}
	return u.Kind == KindPenstock
}

// weight returns the effective weight.
func (u *Upstream) weight() int {
	if u.Weight == nil {
		return 1
	}
	return *u.Weight
}

// Validate reports the first field whose value is invalid.
func (u *Upstream) Validate() error {
	switch {
	case u.Address == "":
		return fmt.Errorf("upstream without an address")
	case u.weight() < 0 || u.weight() > MaxWeight:
		return fmt.Errorf("upstream %s: weight %d is not between 0 and %d", u.Address, u.weight(), MaxWeight)
	case u.Slots < 0:
		return fmt.Errorf("upstream %s: slots %d is negative", u.Address, u.Slots)
	case u.KVTokens < 0 || u.KVTokens > MaxKVTokens:
		return fmt.Errorf("upstream %s: kv_tokens %d is not between 0 and %d", u.Address, u.KVTokens, MaxKVTokens)
	case u.Kind != "" && !slices.Contains(Kinds(), u.Kind):
		return fmt.Errorf("upstream %s: unknown kind %q; known: %s", u.Address, u.Kind, strings.Join(kindNames(), ", "))
	}
	for i, model := range u.Models {
		if model == "" {
			return fmt.Errorf("upstream %s: empty model name", u.Address)
		}
		if slices.Contains(u.Models[:i], model) {
			return fmt.Errorf("upstream %s: model %q is listed twice", u.Address, model)
		}
	}
	return nil
}

// listing finds what the operator says about an address.
type listing map[string]*Upstream

// newListing refuses upstreams that are not valid, and two with one address.
func newListing(upstreams []Upstream) (listing, error) {
	listed := make(listing, len(upstreams))
	for i := range upstreams {
		upstream := &upstreams[i]
		if err := upstream.Validate(); err != nil {
			return nil, err
		}
		if listed[upstream.Address] != nil {
			return nil, fmt.Errorf("upstream %s is listed twice", upstream.Address)
		}
		listed[upstream.Address] = upstream
	}
	return listed, nil
}

// find returns what is known about an address: nothing, if it is not listed.
func (l listing) find(address string) Upstream {
	if upstream := l[address]; upstream != nil {
		return *upstream
	}
	return Upstream{Address: address}
}
