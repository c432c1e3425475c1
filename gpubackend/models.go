package gpubackend

import (
	"fmt"
	"net/http"
	"slices"
)

// name is the model's name in replies.
func (s *Server) name() string { return s.config.names[0] }

// checkModel refuses a model that is not served here. A body without a model means the
// one that is served.
func (s *Server) checkModel(name string) error {
	if name == "" || slices.Contains(s.config.names, name) {
		return nil
	}
	return &apiError{
		status: http.StatusNotFound, kind: kindNotFound, code: "model_not_found", param: "model",
		message: fmt.Sprintf("model %.100q is not served here; %q is", name, s.name()),
	}
}

type modelBody struct {
	ID            string `json:"id"`
	Object        string `json:"object"`
	Created       int64  `json:"created"`
	OwnedBy       string `json:"owned_by"`
	Root          string `json:"root"` // the name in the file
	MaxModelLen   int    `json:"max_model_len"`
	Architecture  string `json:"architecture"`
	Parameters    int64  `json:"parameters"`
	WeightBytes   int64  `json:"weight_bytes"`
	Device        string `json:"device"`
	Demonstration bool   `json:"demonstration"`
	Description   string `json:"description,omitempty"`
}

func (s *Server) serveModels(w http.ResponseWriter, r *http.Request) error {
	var list []modelBody
	for _, name := range s.config.names {
		list = append(list, s.modelBody(name))
	}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": list})
	return nil
}

func (s *Server) serveModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("model")
	if name == "" { // checkModel would accept it, but here the name is the path
		return errUnknownPath
	}
	if err := s.checkModel(name); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, s.modelBody(name))
	return nil
}

func (s *Server) modelBody(name string) modelBody {
	return modelBody{
		ID: name, Object: "model", Created: s.started.Unix(), OwnedBy: "penstock", Root: s.info.Model,
		MaxModelLen: s.scheduler.Context(), Architecture: s.info.Architecture, Parameters: s.info.Parameters,
		WeightBytes: s.info.WeightBytes, Device: s.info.Device,
		Demonstration: s.info.Demonstration, Description: s.description,
	}
}
