package gpubackend

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/cpu"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
	"github.com/penstockhq/penstock/gpubackend/internal/tokenizer"
)

// loaded is a model that is ready to run.
type loaded struct {
	runner      engine.Runner
	tokenizer   engine.Tokenizer
	name        string
	description string
	close       func() error // after the runner
}

// check refuses settings that make no sense, before anything is loaded.
func (c *config) check() error {
	switch {
	case c.device != "auto" && c.device != "cpu":
		return fmt.Errorf("device %q: want auto or cpu", c.device)
	case c.slots < 1 || c.slots > 4096:
		return fmt.Errorf("slots %d: want 1 to 4096", c.slots)
	case c.queueDepth < 0:
		return fmt.Errorf("queue depth %d: want 0 or more", c.queueDepth)
	case c.queueWait <= 0:
		return fmt.Errorf("queue wait %v: want more than 0", c.queueWait)
	case c.context < 0:
		return fmt.Errorf("context %d: want 0, for the model's own, or more", c.context)
	case c.stepTokens < 1:
		return fmt.Errorf("step tokens %d: want 1 or more", c.stepTokens)
	case c.threads < 0:
		return fmt.Errorf("threads %d: want 0, for one a core, or more", c.threads)
	case c.maxBody < 1:
		return fmt.Errorf("largest body %d bytes: want 1 or more", c.maxBody)
	case slices.ContainsFunc(c.names, func(name string) bool { return name == "" || !utf8.ValidString(name) }):
		return fmt.Errorf("model names %q: one is empty or not UTF-8", c.names)
	case c.logger == nil:
		return errors.New("the logger is nil")
	case c.writeTimeout <= 0:
		return fmt.Errorf("write timeout %v: want more than 0", c.writeTimeout)
	}
	return nil
}

// load opens the model and an engine for it.
func load(c *config) (*loaded, error) {
	if c.runner != nil {
		if c.tokenizer == nil {
			return nil, errors.New("an engine without a tokenizer")
		}
		return &loaded{runner: c.runner, tokenizer: c.tokenizer, name: c.runner.Info().Model, close: func() error { return nil }}, nil
	}
	file, name, err := openModel(c.modelFile)
	if err != nil {
		return nil, err
	}
	words, err := tokenizer.FromGGUF(file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("model %s: %w", name, err), file.Close())
	}
	runner, err := openDevice(c, file)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("model %s: %w", name, err), file.Close())
	}
	if c.modelFile != "" {
		if name = runner.Info().Model; strings.TrimSpace(name) == "" {
			name = filepath.Base(c.modelFile)
		}
	}
	// A file without a description is an ordinary file.
	description, _ := file.Text("general.description")
	return &loaded{runner: runner, tokenizer: words, name: name, description: description, close: file.Close}, nil
}

// openModel opens the file, or the embedded model if path is empty.
func openModel(path string) (*gguf.File, string, error) {
	if path == "" {
		file, err := embeddedModel()
		return file, embeddedName, err
	}
	file, err := gguf.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("model %s: %w", path, err)
	}
	return file, path, nil
}

// openDevice makes the engine and logs which device was chosen and why.
func openDevice(c *config, file *gguf.File) (engine.Runner, error) {
	// Every slot can hold a conversation of full length, if memory allows.
	options := []cpu.Option{cpu.WithSequences(c.slots)}
	if c.threads > 0 {
		options = append(options, cpu.WithThreads(c.threads))
	}
	if c.context > 0 {
		options = append(options, cpu.WithContext(c.context))
	}
	runner, err := cpu.New(file, options...)
	if err != nil {
		return nil, err
	}
	reason := "asked for"
	if c.device == "auto" {
		reason = fmt.Sprintf("the only engine in this build for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	c.logger.Info("device chosen", "device", runner.Info().Device, "reason", reason)
	return runner, nil
}
