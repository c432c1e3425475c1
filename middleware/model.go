package middleware

import (
	"encoding/json"
	"net/http"
)

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

// modelObject is one model in the list, in the forms of both vendors at once.
type modelObject struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	Type        string `json:"type"`
	DisplayName string `json:"display_name"`
	// Description is left out where nothing is said about the model.
	Description string `json:"description,omitempty"`
}

// modelList is the list. It is always whole.
type modelList struct {
	Object  string        `json:"object"`
	Data    []modelObject `json:"data"`
	HasMore bool          `json:"has_more"`
}

func describe(name, description string) modelObject {
	return modelObject{
		ID: name, Object: "model", OwnedBy: "penstock", Type: "model", DisplayName: name, Description: description,
	}
}

// listModels lists the models that the key may use. It costs nothing. Where no models
// are configured, the upstream answers.
func (x *exchange) listModels(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if x.gate.catalog == nil && len(x.caller.key.Models) == 0 {
		passOn(w, r, next)
		return
	}
	list := []modelObject{}
	if x.gate.catalog == nil {
		for _, name := range x.caller.key.Models {
			list = append(list, describe(name, ""))
		}
	} else {
		for _, model := range x.gate.catalog.Models() {
			if x.caller.mayUse(model.Name) {
				list = append(list, describe(model.Name, model.Description))
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(modelList{Object: "list", Data: list})
	if err != nil {
		x.gate.logger.Debug("list of models not sent", "request_id", x.request.id, "error", err)
	}
}
