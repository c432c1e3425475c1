package discovery

// OllamaVersion is the version of Ollama whose API the gate's paths follow. Clients
// compare it with the oldest that they work with.
const OllamaVersion = "0.12.6"

// unknownTime stands where Ollama says when a model was pulled: clients parse it.
const unknownTime = "1970-01-01T00:00:00Z"

// Details are what Ollama says about the file of a model. The gate has none.
type Details struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
}

// Tag is one model in Ollama's list.
type Tag struct {
	Name       string  `json:"name"`
	Model      string  `json:"model"`
	ModifiedAt string  `json:"modified_at"`
	Size       int64   `json:"size"`
	Digest     string  `json:"digest"`
	Details    Details `json:"details"`
}

// Tags is Ollama's list of models.
type Tags struct {
	Models []Tag `json:"models"`
}

// TagsOf returns Ollama's list of some models.
func TagsOf(models []Model) Tags {
	tags := Tags{Models: make([]Tag, 0, len(models))}
	for _, model := range models {
		tags.Models = append(tags.Models, Tag{
			Name: model.Name, Model: model.Name, ModifiedAt: unknownTime, Details: Details{Families: []string{}},
		})
	}
	return tags
}

// Card is what Ollama says about one model.
type Card struct {
	License      string         `json:"license"`
	Modelfile    string         `json:"modelfile"`
	Parameters   string         `json:"parameters"`
	Template     string         `json:"template"`
	Details      Details        `json:"details"`
	ModelInfo    map[string]any `json:"model_info"`
	Capabilities []string       `json:"capabilities"`
	ModifiedAt   string         `json:"modified_at"`
}

// CardOf returns what is known about a model.
func CardOf(model Model) Card {
	return Card{
		Details:      Details{Families: []string{}},
		ModelInfo:    map[string]any{"general.basename": model.Name, "general.description": model.Description},
		Capabilities: []string{"completion"}, ModifiedAt: unknownTime,
	}
}

// Version is Ollama's answer to the question for its version.
type Version struct {
	Version string `json:"version"`
}
