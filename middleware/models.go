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
}

// listModels lists the models that the key may use. It costs nothing. With no
// models configured, the upstream knows better.
func (x *exchange) listModels(w http.ResponseWriter, r *http.Request, next http.Handler) {
	names := x.key.Models
	if x.gate.catalog == nil && len(names) == 0 {
		request := r.Clone(r.Context())
		request.Header = upstreamHeader(r.Header)
		next.ServeHTTP(w, request)
		return
	}
	if x.gate.catalog != nil {
		names = nil
		for _, model := range x.gate.catalog.Models() {
			if len(x.key.Models) == 0 || slices.Contains(x.key.Models, model.Name) {
				names = append(names, model.Name)
			}
		}
	}
	list := make([]modelObject, 0, len(names))
	for _, name := range names {
		list = append(list, modelObject{ID: name, Object: "model", OwnedBy: "penstock"})
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
