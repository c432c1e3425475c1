// Package cpu runs llama, qwen2 and qwen3 models on the processor, in Go and Go
// assembly, with nothing to install. It implements engine.Runner.
package cpu

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/penstockhq/penstock/gpubackend/engine"
	"github.com/penstockhq/penstock/gpubackend/internal/gguf"
)

// LevelVariable is the environment variable that forces a level of kernels:
// generic, avx2 or avx512. WithLevel goes before it.
const LevelVariable = "GPUBACKEND_CPU"

// defaultContext bounds the context that is set up when none is asked for: models
// with a context of a million tokens exist, and few machines hold that.
const defaultContext = 8192

// defaultSequences is how many sequences of full length the cache holds when
// neither their number nor its size is given.
const defaultSequences = 4

// maxDefaultCache bounds the cache in bytes when its size is not given.
const maxDefaultCache = 1<<31 - 1

// Engine runs one model. See engine.Runner for who may call what when.
type Engine struct {
	file        *gguf.File
	shape       shape
	kernels     *kernels
	pool        *pool
	threads     int
	context     int
	vocabulary  int
	weights     weights
	weightBytes int64
	parameters  int64
	rope        *rope
	cache       *cache
	scratch     scratch
	memory      [][]byte
	closed      atomic.Bool
}

var _ engine.Runner = (*Engine)(nil)

type options struct {
	threads, context, pages, sequences int
	level                              string
}

// Option changes how New sets up an Engine.
type Option func(*options)

// WithThreads sets how many threads a step uses. The default is GOMAXPROCS.
func WithThreads(threads int) Option { return func(o *options) { o.threads = threads } }

// WithContext sets the longest sequence in tokens. The default is the model's
// own, at most 8192.
func WithContext(tokens int) Option { return func(o *options) { o.context = tokens } }

// WithPages sets the number of KV pages of engine.PageSize positions each. The
// default is what WithSequences asks for.
func WithPages(pages int) Option { return func(o *options) { o.pages = pages } }

// WithSequences sets how many sequences of full length the KV cache holds; the
// default is four. It holds fewer if they take over 2 GiB, but always one.
func WithSequences(sequences int) Option { return func(o *options) { o.sequences = sequences } }

// WithLevel forces a level of kernels: generic, avx2 or avx512. The default is
// the best that the processor has. New fails if it does not have the level.
func WithLevel(level string) Option { return func(o *options) { o.level = level } }

// New prepares the model in a file. The engine reads from the file while it
// runs: close the engine first, then the file. Errors name the metadata key or
// the tensor that is missing, malformed or not supported.
func New(file *gguf.File, opts ...Option) (*Engine, error) {
	o := options{threads: runtime.GOMAXPROCS(0), sequences: defaultSequences, level: os.Getenv(LevelVariable)}
	for _, option := range opts {
		option(&o)
	}
	if o.threads < 1 || o.threads > 1024 {
		return nil, fmt.Errorf("cpu: %d threads, want 1 to 1024", o.threads)
	}
	kernels, err := kernelsFor(o.level)
	if err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	e := &Engine{file: file, kernels: kernels, threads: o.threads}
	if e.shape, err = readShape(file); err != nil {
		return nil, fmt.Errorf("cpu: %w", err)
	}
	e.pool = newPool(o.threads)
	if err := e.load(&o); err != nil {
		e.Close()
		return nil, fmt.Errorf("cpu: %w", err)
	}
	return e, nil
}

func (e *Engine) load(o *options) error {
	if err := e.loadWeights(); err != nil {
		return err
	}
	for _, tensor := range e.file.Tensors() {
		e.parameters += int64(tensor.Elements())
	}
	divisors, err := e.ropeDivisors()
	if err != nil {
		return err
	}
	e.rope = newRope(&e.shape, divisors)
	return e.loadCache(o)
}

// ropeDivisors loads the factors by which models with a stretched context slow
// down each pair, nil if there are none.
func (e *Engine) ropeDivisors() ([]float32, error) {
	const name = "rope_freqs.weight"
	divisors, err := e.optionalVector(name, e.shape.rotated/2)
	for i, divisor := range divisors {
		if !(divisor > 0) {
			return nil, fmt.Errorf("tensor %q: value %d is %g, want more than 0", name, i, divisor)
		}
	}
	return divisors, err
}

func (e *Engine) loadCache(o *options) error {
	e.context = o.context
	if e.context == 0 {
		e.context = min(e.shape.context, defaultContext)
	}
	if e.context < 1 || e.context > e.shape.context {
		return fmt.Errorf("a context of %d tokens, want 1 to the model's %d", e.context, e.shape.context)
	}
	full := (e.context + pagePositions - 1) / pagePositions
	pages := o.pages
	if pages == 0 {
		probe := cache{layers: e.shape.layers, heads: e.shape.keyHeads, size: paddedHead(e.shape.headSize)}
		pages = max(full, min(full*o.sequences, maxDefaultCache/(probe.pageFloats()*4)))
	}
	if pages < 1 || pages > 1<<31-1 {
		return fmt.Errorf("%d KV pages, want 1 to %d", pages, 1<<31-1)
	}
	var err error
	e.cache, err = e.newCache(pages)
	return err
}

// Info describes the model and the processor.
func (e *Engine) Info() engine.Info {
	threads := "threads"
	if e.threads == 1 {
		threads = "thread"
	}
	return engine.Info{
		Model:         e.shape.name,
		Architecture:  e.shape.architecture,
		Device:        fmt.Sprintf("cpu (%s, %d %s)", e.kernels.level, e.threads, threads),
		Vocabulary:    e.vocabulary,
		Context:       e.context,
		Embedding:     e.shape.embedding,
		Parameters:    e.parameters,
		WeightBytes:   e.weightBytes,
		Demonstration: e.shape.demo,
	}
}

// KV describes the cache. Its memory is taken from the system page by page, as
// they are first used.
func (e *Engine) KV() engine.KVInfo {
	return engine.KVInfo{Pages: e.cache.pages, PageSize: pagePositions, Bytes: int64(e.cache.pages) * int64(e.cache.pageFloats()) * 4}
}

// Close stops the threads and releases the memory. It may be called more than
// once, but not during Forward. The file stays open.
func (e *Engine) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	e.pool.close()
	var errs []error
	for _, memory := range e.memory {
		errs = append(errs, release(memory))
	}
	e.memory, e.weights, e.scratch = nil, weights{}, scratch{}
	return errors.Join(errs...)
}
