package admin

import (
	"net/http"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
)

// modelView is a model on the wire.
type modelView struct {
	ID              string    `json:"id"`
	Name            string    `json:"name"`
	Path            string    `json:"path,omitempty"`
	Description     string    `json:"description,omitempty"`
	MaxOutputTokens int64     `json:"max_output_tokens"`
	Price           priceView `json:"price"`
}

// priceView is a price in credits: per minute of compute, per million tokens and
// per request.
type priceView struct {
	Minute      string `json:"minute"`
	Input       string `json:"input"`
	CachedInput string `json:"cached_input"`
	Output      string `json:"output"`
	Request     string `json:"request"`
}

func viewPrice(price ledger.Price) priceView {
	cached := price.CachedInput
	switch cached {
	case 0:
		cached = price.Input // as the ledger counts it
	case ledger.Free:
		cached = 0
	}
	return priceView{
		Minute: price.Minute.String(), Input: price.Input.String(), CachedInput: cached.String(),
		Output: price.Output.String(), Request: price.Request.String(),
	}
}

func (h *Handler) listModels(c *rest.Call) error {
	models := make([]modelView, 0, len(h.rules.Models))
	for i := range h.rules.Models {
		model := &h.rules.Models[i]
		models = append(models, modelView{
			ID: model.ID, Name: model.Title(), Path: model.Path, Description: model.Description,
			MaxOutputTokens: model.MaxOutputTokens, Price: viewPrice(h.ledger.Price(model.ID)),
		})
	}
	c.JSON(http.StatusOK, modelPage{models})
	return nil
}

// modelPage is the reply of the list of models.
type modelPage struct {
	Models []modelView `json:"models"`
}
