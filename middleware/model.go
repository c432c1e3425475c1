package middleware

// Model is a model that callers may name.
type Model struct {
	Name         string // as callers name it, and as it stands in limits and entries
	UpstreamName string // as the upstreams name it; empty: the same
	Description  string // for the list of models
	// MaxOutputTokens caps one answer: it is written into calls that set no cap,
	// and a call that asks for more is refused. 0: DefaultMaxOutputTokens is
	// written, and a call may ask for more.
	MaxOutputTokens int64
	// ContinuousUsage says that its upstreams report running totals on every chunk
	// of a stream when asked to (vLLM, SGLang). A stream that is cut is then
	// charged to the token.
	ContinuousUsage bool
}

// upstream returns the name by which the upstreams know the model.
func (m *Model) upstream() string {
	if m.UpstreamName != "" {
		return m.UpstreamName
	}
	return m.Name
}

// Catalog knows the models. Implementations are safe for concurrent use and do
// not wait.
type Catalog interface {
	// Model returns the model with this name.
	Model(name string) (Model, bool)
	// Models returns all models in the order in which they are listed.
	Models() []Model
}

// catalog is a fixed Catalog.
type catalog struct {
	list   []Model
	byName map[string]int
}

func newCatalog(models []Model) *catalog {
	c := &catalog{list: models, byName: make(map[string]int, len(models))}
	for i, model := range models {
		c.byName[model.Name] = i
	}
	return c
}

func (c *catalog) Model(name string) (Model, bool) {
	at, ok := c.byName[name]
	if !ok {
		return Model{}, false
	}
	return c.list[at], true
}

func (c *catalog) Models() []Model { return c.list }
