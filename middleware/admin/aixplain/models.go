package aixplain

import (
	"net/http"

	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// modelView is a model as both halves of the aiXplain SDK read it. The words
// in Status and Function must be from the SDK's own lists.
type modelView struct {
	ID                string      `json:"id"`
	Name              string      `json:"name"`
	Description       string      `json:"description"`
	Status            string      `json:"status"`
	Supplier          namedView   `json:"supplier"`
	Function          namedView   `json:"function"`
	Version           namedView   `json:"version"`
	Pricing           pricingView `json:"pricing"`
	Params            []any       `json:"params"`
	Attributes        struct{}    `json:"attributes"`
	SupportsStreaming bool        `json:"supportsStreaming"`
	ConnectionType    []string    `json:"connectionType"`
	AssetInfo         *assetView  `json:"assetInfo,omitempty"`
}

type namedView struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

type pricingView struct {
	Price    any    `json:"price"`
	Currency string `json:"currency"`
}

// assetView carries the path under which the model can be asked for as well.
type assetView struct {
	InstanceID string `json:"instanceId"`
}

// getModel answers for one model, by its id or by its path. Admin keys may read
// models too, as the SDK resolves paths before it makes a key.
func (a *api) getModel(c *rest.Call) error {
	model := a.Rules.Model(a.Rules.ModelID(c.Parameters[0]))
	if model == nil {
		return rest.NotFound("model", c.Parameters[0])
	}
	price := a.Ledger.Price(model.ID)
	view := modelView{
		ID: model.ID, Name: model.Title(), Description: model.Description, Status: "onboarded",
		Supplier: namedView{ID: "penstock", Name: "Penstock"},
		Function: namedView{ID: "text-generation", Name: "Text Generation"}, Version: namedView{ID: "1"},
		Pricing: pricingView{Price: rest.AmountNumber(price.Minute), Currency: "credits per minute"},
		Params:  []any{}, SupportsStreaming: true, ConnectionType: []string{"synchronous"},
	}
	if model.Path != "" {
		view.AssetInfo = &assetView{InstanceID: model.Path}
	}
	c.JSON(http.StatusOK, view)
	return nil
}
