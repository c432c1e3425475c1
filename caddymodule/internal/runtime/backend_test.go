package runtime

import (
	"errors"
	"io"
	"log/slog"
	"testing"

	"github.com/penstockhq/penstock/gpubackend"
)

func TestConfigurationsShareABackendUntilTheLastOneIsGone(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	first, one, err := AcquireBackend("tiny", log, gpubackend.WithModelFile("missing.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	second, two, err := AcquireBackend("tiny", log)
	if err != nil || second != first {
		t.Fatalf("another configuration got another backend, %v", err)
	}
	if _, err := first.Load(); err == nil || first.IsLoaded() {
		t.Errorf("a model that is not there was loaded: %v", err)
	}
	one.Retire()
	if !two.Begin() {
		t.Fatal("a call was refused while a configuration holds the backend")
	}
	two.Retire()
	two.End()
	for range Backends {
		t.Error("the backend is still held")
	}
}

func TestABackendThatWasNeverLoadedCannotBeLoadedLater(t *testing.T) {
	backend := new(Backend)
	if err := backend.Destruct(); err != nil {
		t.Fatal(err)
	}
	if _, err := backend.Load(); !errors.Is(err, ErrRetired) {
		t.Errorf("loading it gives %v", err)
	}
}
