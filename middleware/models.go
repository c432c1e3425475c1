package middleware

import (
	"encoding/json"
	"net/http"
	"slices"
)

// modelObject is one model in the list.
type modelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
	// Description is left out where nothing is said about the model.
	Description string `json:"description,omitempty"`
}

// listModels lists the models that the key may use. It costs nothing. With no
// models configured, the upstream knows better.
func (x *exchange) listModels(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if x.gate.catalog == nil && len(x.key.Models) == 0 {
		request := r.Clone(r.Context())
		request.Header = upstreamHeader(r.Header)
		next.ServeHTTP(w, request)
		return
	}
	list := []modelObject{}
	if x.gate.catalog == nil {
		for _, name := range x.key.Models {
			list = append(list, modelObject{ID: name, Object: "model", OwnedBy: "penstock"})
		}
	} else {
		for _, model := range x.gate.catalog.Models() {
			if len(x.key.Models) == 0 || slices.Contains(x.key.Models, model.Name) {
				list = append(list, modelObject{
					ID: model.Name, Object: "model", OwnedBy: "penstock", Description: model.Description,
				})
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	err := json.NewEncoder(w).Encode(struct {
		Object string        `json:"object"`
		Data   []modelObject `json:"data"`
	}{"list", list})
	if err != nil {
		x.gate.logger.Debug("list of models not sent", "request_id", x.requestID, "error", err)
	}
}
