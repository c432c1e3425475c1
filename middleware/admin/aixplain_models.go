package admin

import (
	"cmp"
	"net/http"

	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// aixplainModel is a model as both halves of the aiXplain SDK read it. The words
// in Status and Function must be from the SDK's own lists.
type aixplainModel struct {
	ID                string          `json:"id"`
	Name              string          `json:"name"`
	Description       string          `json:"description"`
	Status            string          `json:"status"`
	Supplier          aixplainNamed   `json:"supplier"`
	Function          aixplainNamed   `json:"function"`
	Version           aixplainNamed   `json:"version"`
	Pricing           aixplainPricing `json:"pricing"`
	Params            []any           `json:"params"`
	Attributes        struct{}        `json:"attributes"`
	SupportsStreaming bool            `json:"supportsStreaming"`
	ConnectionType    []string        `json:"connectionType"`
	AssetInfo         *aixplainAsset  `json:"assetInfo,omitempty"`
}

type aixplainNamed struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

type aixplainPricing struct {
	Price    any    `json:"price"`
	Currency string `json:"currency"`
}

// aixplainAsset carries the path under which the model can be asked for as well.
type aixplainAsset struct {
	InstanceID string `json:"instanceId"`
}

// title is the model's name for people.
func (m *Model) title() string { return cmp.Or(m.Name, m.ID) }

// sdkModel answers for one model, by its id or by its path. Admin keys may read
// models too, as the SDK resolves paths before it makes a key.
func (h *Handler) sdkModel(c *rest.Call) error {
	model := h.model(h.modelID(c.Parameters[0]))
	if model == nil {
		return rest.NotFound("model", c.Parameters[0])
	}
	price := h.ledger.Price(model.ID)
	view := aixplainModel{
		ID: model.ID, Name: model.title(), Description: model.Description, Status: "onboarded", Supplier: aixplainNamed{ID: "penstock", Name: "Penstock"},
		Function: aixplainNamed{ID: "text-generation", Name: "Text Generation"}, Version: aixplainNamed{ID: "1"},
		Pricing: aixplainPricing{Price: rest.AmountNumber(price.Minute), Currency: "credits per minute"},
		Params:  []any{}, SupportsStreaming: true, ConnectionType: []string{"synchronous"},
	}
	if model.Path != "" {
		view.AssetInfo = &aixplainAsset{InstanceID: model.Path}
	}
	c.JSON(http.StatusOK, view)
	return nil
}
