package middleware

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/penstockhq/penstock/middleware/dialect"
	"github.com/penstockhq/penstock/middleware/dialect/media"
	"github.com/penstockhq/penstock/middleware/internal/discovery"
)

// Model is a model that callers may name.
type Model struct {
	Name string // as callers name it, and as it stands in limits and entries
	// UpstreamName is the name by which the upstreams know it; empty: the same. Replies
	// that pass show Name instead, whatever name they have.
	UpstreamName string
	Description  string // for the list of models
	// MaxOutputTokens caps one answer: it is written into calls that set no cap,
	// and a call that asks for more is refused. 0: DefaultMaxOutputTokens is
	// written, and a call may ask for more.
	MaxOutputTokens int64
	// ContinuousUsage says that its upstreams report running totals on every chunk
	// of a stream when asked to (vLLM, SGLang). A stream that is cut is then
	// charged to the token.
	ContinuousUsage bool
	// Media say how many tokens the model makes of images, documents, audio and video;
	// nil: those of models in general.
	Media *media.Rules
	// Unit is what its calls for sound or images are counted in.
	Unit Unit
}

// Unit is what calls that take or make sound or images are counted in.
type Unit uint8

// The units. The ledger and the limits know tokens only: the others are so many of them.
const (
	// UnitToken counts the tokens that an upstream reports, or an estimate of them.
	UnitToken Unit = iota
	// UnitAudioSecond counts a second of sound as AudioSecondTokens: of input where it is
	// written down, of output where it is made. Nothing else of such a call counts.
	UnitAudioSecond
	// UnitImage counts an image that is made as ImageTokens of output, whatever its size.
	// Nothing else of such a call counts.
	UnitImage
)

// What the units are in tokens. Both divide a million, so that a price for one of them
// is a whole price for a million tokens.
const (
	AudioSecondTokens = dialect.SoundTokens
	ImageTokens       = 1000
)

// counts returns the unit in which the calls of an operation are counted.
func (m *Model) counts(spec *dialect.Spec) Unit {
	switch {
	case m.Unit == UnitAudioSecond && (spec.Form || spec.Makes == dialect.MakesSound):
		return UnitAudioSecond
	case m.Unit == UnitImage && spec.Makes == dialect.MakesImages:
		return UnitImage
	}
	return UnitToken
}

// secondsOnly are the rules of models whose unit is a second of sound.
var secondsOnly = &media.Rules{AudioSecond: AudioSecondTokens}

// inUnits leaves of a call what its unit counts.
func (q *request) inUnits() {
	unit := q.model.counts(q.call.Route.Spec)
	switch {
	case unit == UnitToken:
		return
	case unit == UnitImage:
		q.call.OutputCap = ImageTokens
	case q.call.Route.IsForm():
		q.call.OutputCap, q.model.Media = 0, secondsOnly
	}
	q.call.TextBytes = 0
}

// upstream returns the name by which the upstreams know the model.
func (m *Model) upstream() string {
	if m.UpstreamName != "" {
		return m.UpstreamName
	}
	return m.Name
}

// heard returns what sound counts of which an upstream says how long it was, in tokens.
func (m *Model) heard(sound int64) int64 {
	second := int64(dialect.SoundTokens)
	if m.Media != nil && m.Media.AudioSecond > 0 {
		second = m.Media.AudioSecond
	}
	const most = 1 << 40 // so that the product does not overflow
	return (min(sound, most)*second + dialect.SoundTokens - 1) / dialect.SoundTokens
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

// mayKnow returns the models that the key may use, or false if only the upstreams know:
// no models are configured, and the key may use any.
func (x *exchange) mayKnow() ([]discovery.Model, bool) {
	var models []discovery.Model
	switch {
	case x.gate.catalog != nil:
		for _, model := range x.gate.catalog.Models() {
			if x.caller.mayUse(model.Name) {
				models = append(models, discovery.Model{Name: model.Name, Description: model.Description})
			}
		}
	case len(x.caller.key.Models) == 0:
		return nil, false
	default:
		for _, name := range x.caller.key.Models {
			models = append(models, discovery.Model{Name: name})
		}
	}
	return models, true
}

// discover answers a question for models, which costs nothing: by itself where it knows
// which models the key may use, and else by the upstream.
func (x *exchange) discover(w http.ResponseWriter, r *http.Request, next http.Handler) {
	models, known := x.mayKnow()
	if !known {
		if path := x.gate.pathOf(r); !unambiguous(path) {
			x.refuse(w, r, refusePath(path))
			return
		}
		x.passOn(w, r, next)
		return
	}
	spec := x.request.call.Route.Spec
	native := spec.Dialect == dialect.Ollama
	switch {
	case spec.Handling == dialect.TellVersion:
		x.tell(w, discovery.Version{Version: discovery.OllamaVersion})
	case spec.Handling == dialect.DescribeModel:
		x.describe(w, r, models)
	case native:
		x.tell(w, discovery.TagsOf(models))
	default:
		x.tell(w, discovery.ListOf(models))
	}
}

// describe tells of one model. One that the key may not use does not exist for it.
func (x *exchange) describe(w http.ResponseWriter, r *http.Request, models []discovery.Model) {
	route := x.request.call.Route
	name := route.Target
	if !route.Spec.ModelInPath {
		if refusal := x.request.body.read(w, r, maxQuestion); refusal != nil {
			x.refuse(w, r, refusal)
			return
		}
		var err error
		if name, err = dialect.ModelAskedFor(x.request.body.received); err != nil {
			x.refuse(w, r, refuseBody(err))
			return
		}
	}
	at := slices.IndexFunc(models, func(model discovery.Model) bool { return model.Name == name })
	switch {
	case at < 0:
		x.refuse(w, r, refuseUnknownModel(name))
	case route.Spec.Dialect == dialect.Ollama:
		x.tell(w, discovery.CardOf(models[at]))
	default:
		x.tell(w, discovery.ObjectOf(models[at]))
	}
}

// maxQuestion limits the body of a question for a model, in bytes.
const maxQuestion = 64 << 10

// tell answers with JSON.
func (x *exchange) tell(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		x.gate.logger.Debug("answer about models not sent", "request_id", x.request.id, "error", err)
	}
}
