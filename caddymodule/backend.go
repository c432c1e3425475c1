package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/gpubackend"
)

func init() {
	caddy.RegisterModule(new(Backend))
	caddy.RegisterModule(new(Backends))
}

// Backend is an inference server in this process: it runs one model and answers
// the OpenAI routes, a plain `/infer`, `/health`, `/ready` and `/metrics`. It asks
// for no key and has no limits but its queue: bind its site to an address that
// only gateways reach.
//
// The model is loaded when the configuration starts and stays loaded across
// reloads as long as these fields do not change.
type Backend struct {
	// The GGUF file to serve. Placeholders such as `{env.MODEL}` are replaced.
	// Default: the embedded demonstration model.
	ModelFile string `json:"model_file,omitempty"`

	// The names under which the model is served; replies carry the first one.
	// Default: `tiny` for the embedded model, else the name in the file.
	ModelNames []string `json:"model_names,omitempty"`

	// The device that computes: `cpu`, or `auto` for the best one available.
	// Default: `auto`.
	Device string `json:"device,omitempty"`

	// How many requests run at the same time. Default: 8.
	Slots int `json:"slots,omitempty"`

	// How many requests may wait for a slot; further ones get 503. Default: 64.
	QueueDepth *int `json:"queue_depth,omitempty"`

	// How long a request may wait for a slot. Default: 30s.
	QueueWait caddy.Duration `json:"queue_wait,omitempty"`

	// The maximum length of prompt and answer together. Unit: tokens. Default: the
	// model's own, but no more than 8192.
	Context int `json:"context,omitempty"`

	// The maximum number of tokens that the engine reads in one step. Larger steps
	// read long prompts faster, smaller ones disturb running answers less.
	// Default: 128.
	StepTokens int `json:"step_tokens,omitempty"`

	// Threads of the CPU engine. Default: one for each core that the process may
	// use.
	Threads int `json:"threads,omitempty"`

	// The maximum size of a request's body. Unit: bytes. Default: 10485760 (10 MiB).
	MaxBody int64 `json:"max_body,omitempty"`

	// How long a caller may take to accept one piece of a stream or of a large reply.
	// Default: 30s.
	WriteTimeout caddy.Duration `json:"write_timeout,omitempty"`

	// Whether `/metrics` also has the names that vLLM uses. Default: false.
	VLLMMetrics bool `json:"vllm_metrics,omitempty"`

	server *runtime.Backend
	lease  *runtime.Lease
}

// CaddyModule implements caddy.Module.
func (*Backend) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.penstock_backend", New: func() caddy.Module { return new(Backend) }}
}

// Provision implements caddy.Provisioner. It does not load the model: checking a
// configuration on a machine that serves should not take the memory twice.
func (b *Backend) Provision(ctx caddy.Context) error {
	var err error
	if b.ModelFile, err = caddy.NewReplacer().ReplaceOrErr(b.ModelFile, true, true); err != nil {
		return fmt.Errorf("model_file: %w", err)
	}
	if b.ModelFile != "" {
		if _, err := os.Stat(b.ModelFile); err != nil {
			return fmt.Errorf("model_file: %w", err)
		}
	}
	app, err := ctx.App("penstock_backend")
	if err != nil {
		return err
	}
	identity, err := json.Marshal(b)
	if err != nil {
		return err
	}
	log := runtime.LastingLog(string(b.CaddyModule().ID))
	if b.server, b.lease, err = runtime.AcquireBackend(string(identity), log, b.options()...); err != nil {
		return err
	}
	app.(*Backends).add(b.server)
	return nil
}

// Validate implements caddy.Validator. What depends on the model is checked when it
// is loaded.
func (b *Backend) Validate() error {
	depth := 0
	if b.QueueDepth != nil {
		depth = *b.QueueDepth
	}
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"slots", int64(b.Slots)},
		{"queue_depth", int64(depth)},
		{"queue_wait", int64(b.QueueWait)},
		{"context", int64(b.Context)},
		{"step_tokens", int64(b.StepTokens)},
		{"threads", int64(b.Threads)},
		{"max_body", b.MaxBody},
		{"write_timeout", int64(b.WriteTimeout)},
	} {
		if field.value < 0 {
			return fmt.Errorf("%s %d is negative", field.name, field.value)
		}
	}
	if b.Device != "" && !slices.Contains(devices, b.Device) {
		return fmt.Errorf("device: unknown value %q; known: %s", b.Device, strings.Join(devices, ", "))
	}
	return checkNames(b.ModelNames)
}

// devices lists the values of Backend.Device.
var devices = []string{"auto", "cpu"}

// checkNames refuses names under which no model could be asked for.
func checkNames(names []string) error {
	for i, name := range names {
		if name == "" {
			return errors.New("model_name: a name is empty")
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("model_name: %s is given twice", name)
		}
	}
	return nil
}

// options returns the server's options for what is set.
func (b *Backend) options() []gpubackend.Option {
	options := []gpubackend.Option{gpubackend.WithModelFile(b.ModelFile)}
	set := func(isSet bool, option gpubackend.Option) {
		if isSet {
			options = append(options, option)
		}
	}
	depth, wait := 64, 30*time.Second
	if b.QueueDepth != nil {
		depth = *b.QueueDepth
	}
	if b.QueueWait != 0 {
		wait = time.Duration(b.QueueWait)
	}
	set(true, gpubackend.WithQueue(depth, wait))
	set(len(b.ModelNames) > 0, gpubackend.WithModelName(b.ModelNames...))
	set(b.Device != "", gpubackend.WithDevice(b.Device))
	set(b.Slots != 0, gpubackend.WithSlots(b.Slots))
	set(b.Context != 0, gpubackend.WithContext(b.Context))
	set(b.StepTokens != 0, gpubackend.WithStepTokens(b.StepTokens))
	set(b.Threads != 0, gpubackend.WithThreads(b.Threads))
	set(b.MaxBody != 0, gpubackend.WithMaxBody(b.MaxBody))
	set(b.WriteTimeout != 0, gpubackend.WithWriteTimeout(time.Duration(b.WriteTimeout)))
	set(b.VLLMMetrics, gpubackend.WithVLLMMetrics())
	return options
}

// Cleanup implements caddy.CleanerUpper. It also follows a Provision that failed.
func (b *Backend) Cleanup() error {
	if b.lease != nil {
		b.lease.Retire()
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It answers every path.
func (b *Backend) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if !b.lease.Begin() {
		return caddyhttp.Error(http.StatusServiceUnavailable, runtime.ErrRetired)
	}
	defer b.lease.End()
	server, err := b.server.Load()
	if err != nil {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	server.ServeHTTP(w, r)
	return nil
}

// Backends is an app without fields: it loads the models of the handlers
// `penstock_backend` when the configuration starts, so that a model that cannot
// be loaded keeps the configuration from starting. Handlers add it by themselves.
type Backends struct {
	servers []*runtime.Backend
}

// CaddyModule implements caddy.Module.
func (*Backends) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "penstock_backend", New: func() caddy.Module { return new(Backends) }}
}

// add registers a backend. Handlers are provisioned one after the other.
func (b *Backends) add(server *runtime.Backend) { b.servers = append(b.servers, server) }

// Start implements caddy.App.
func (b *Backends) Start() error {
	var failures []error
	for _, server := range b.servers {
		_, err := server.Load()
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// Stop implements caddy.App. Models are unloaded when their last call has ended.
func (*Backends) Stop() error { return nil }

// Interface guards
var (
	_ caddy.Provisioner           = (*Backend)(nil)
	_ caddy.Validator             = (*Backend)(nil)
	_ caddy.CleanerUpper          = (*Backend)(nil)
	_ caddyhttp.MiddlewareHandler = (*Backend)(nil)
	_ caddy.App                   = (*Backends)(nil)
)
