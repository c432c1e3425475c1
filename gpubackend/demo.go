package gpubackend

import (
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/model"
)

// embeddedName is the name under which the embedded model is served.
const embeddedName = "tiny"

// embeddedModel reads the model that is served without a file. It is a
// demonstration, and the file says so.
func embeddedModel() (*gguf.File, error) { return gguf.Parse(model.File()) }
