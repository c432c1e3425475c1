package discovery

// Object is one model, in the forms of OpenAI and Anthropic at once.
type Object struct {
	ID          string `json:"id"`
	Object      string `json:"object"`
	Created     int64  `json:"created"`
	OwnedBy     string `json:"owned_by"`
	Type        string `json:"type"`
	DisplayName string `json:"display_name"`
	// Description is left out where nothing is said about the model.
	Description string `json:"description,omitempty"`
}

// List is a list of models. It is always whole.
type List struct {
	Object  string   `json:"object"`
	Data    []Object `json:"data"`
	HasMore bool     `json:"has_more"`
}

// ObjectOf returns the form of one model.
func ObjectOf(model Model) Object {
	return Object{
		ID: model.Name, Object: "model", OwnedBy: "penstock", Type: "model",
		DisplayName: model.Name, Description: model.Description,
	}
}

// ListOf returns the list of some models.
func ListOf(models []Model) List {
	list := List{Object: "list", Data: make([]Object, 0, len(models))}
	for _, model := range models {
		list.Data = append(list.Data, ObjectOf(model))
	}
	return list
}
