package dialect

import (
	"github.com/penstockhq/penstock/middleware/dialect/internal/jsonscan"
	"github.com/penstockhq/penstock/middleware/dialect/internal/mediafile"
	"github.com/penstockhq/penstock/middleware/dialect/internal/meter"
)

var ollama = description{name: "ollama"}

var ollamaMedia = []mediaMember{{"images", mediafile.Image}}

// ollamaRequest is the request of both operations that generate text.
var ollamaRequest = requestShape{
	cap:     capShape{name: "num_predict", within: memberOptions, negative: true},
	stream:  streamUnlessDeclined,
	options: setOf(memberOptions),
	media:   ollamaMedia,
}

var ollamaGenerateSpec = Spec{
	Dialect: Ollama, Class: "generate", Method: "POST", Paths: []string{"/api/generate"},
	Permission: PermissionInference,
	answer:     []string{"response"},
	request:    ollamaRequest,
	reply:      meter.Shape{End: meter.EndDone},
}

var ollamaChatSpec = Spec{
	Dialect: Ollama, Class: "chat", Method: "POST", Paths: []string{"/api/chat"},
	Permission: PermissionInference,
	answer:     []string{"message"},
	request:    ollamaRequest,
	reply:      meter.Shape{End: meter.EndDone},
}

var ollamaEmbedSpec = Spec{
	Dialect: Ollama, Class: "embeddings", Method: "POST", Paths: []string{"/api/embed"},
	Permission: PermissionEmbeddings, NoOutput: true,
	answer:  []string{"embeddings", "embedding"},
	request: requestShape{stream: streamRefused, media: ollamaMedia},
}

// What clients of Ollama ask before they call: which models there are, what each of
// them can do, and whether the server is new enough.

var ollamaTagsSpec = Spec{
	Dialect: Ollama, Class: "models", Method: "GET", Paths: []string{"/api/tags"},
	Handling: ListModels,
}

var ollamaShowSpec = Spec{
	Dialect: Ollama, Class: "models", Method: "POST", Paths: []string{"/api/show"},
	Handling: DescribeModel,
}

var ollamaVersionSpec = Spec{
	Dialect: Ollama, Class: "models", Method: "GET", Paths: []string{"/api/version"},
	Handling: TellVersion,
}

// ModelAskedFor reads which model a request for the description of one names: in its
// member model, or in name, as older clients of Ollama do. The error is a
// [*RequestError].
func ModelAskedFor(body []byte) (string, error) {
	at := jsonscan.NewCursor(body, false)
	if at.Kind() != '{' {
		return "", &RequestError{Message: notAnObject}
	}
	found := ""
	for at.Enter(); ; {
		name, ok := at.Member()
		if !ok {
			break
		}
		raw := at.Skip().Of(body)
		if member := string(name); at.Err == nil && (member == "model" || member == "name") {
			if raw[0] != '"' {
				return "", badMember(member, "must be a string")
			}
			asked := jsonscan.Unquote(raw)
			if found != "" && found != asked {
				return "", badMember(member, "must be the same in model and name")
			}
			found = asked
		}
	}
	if at.Err != nil {
		return "", &RequestError{Message: notAnObject}
	}
	if err := checkModelName(found); err != nil {
		return "", err
	}
	return found, nil
}
