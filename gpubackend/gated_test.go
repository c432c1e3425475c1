package gpubackend

import (
	"net/http/httptest"
	"testing"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/cpu"
	"github.com/penstockhq/penstock/gpubackend/internal/testmodel"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
)

// gatedRunner is the real engine, with a test's say before each step.
type gatedRunner struct {
	engine.Runner
	before func(*engine.Batch) error
}

func (r gatedRunner) Forward(batch *engine.Batch) (engine.Timing, error) {
	if err := r.before(batch); err != nil {
		return engine.Timing{}, err
	}
	return r.Runner.Forward(batch)
}

// startGated serves a small random model whose steps the test controls.
func startGated(t testing.TB, before func(*engine.Batch) error, options ...Option) (*Server, *httptest.Server) {
	t.Helper()
	file := testmodel.Open(testmodel.Tiny())
	words, err := tokenizer.FromGGUF(file)
	if err != nil {
		t.Fatal(err)
	}
	runner, err := cpu.New(file, cpu.WithThreads(1))
	if err != nil {
		t.Fatal(err)
	}
	return start(t, append([]Option{WithEngine(gatedRunner{runner, before}, words)}, options...)...)
}
