package gpubackend

import (
	"github.com/penstockhq/penstock/gpubackend/cpu"
	"github.com/penstockhq/penstock/gpubackend/gguf"
	"github.com/penstockhq/penstock/internal/testmodel"
)

// embeddedName is the name under which the embedded model is served.
const embeddedName = "tiny"

// embeddedModel makes the model that is served without a file: a real
// transformer whose weights are random numbers, the same at each start. What it
// says has no meaning, and it says so of itself.
func embeddedModel() (*gguf.File, error) {
	shape := testmodel.Tiny()
	shape.Context = 1024
	shape.Extra = map[string]any{
		cpu.DemonstrationKey:  true,
		"general.description": "A transformer with random weights: real arithmetic, meaningless words. For trying the server out.",
	}
	return gguf.Parse(testmodel.Build(shape))
}
