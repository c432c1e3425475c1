package middleware

import (
	"encoding/json"
	"net/http"
)

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
