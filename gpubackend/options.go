package gpubackend

import (
	"log/slog"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// Option changes a setting of a Server.
type Option func(*config)

type config struct {
	modelFile    string
	device       string
	slots        int
	queueDepth   int
	queueWait    time.Duration
	context      int
	stepTokens   int
	threads      int
	logger       *slog.Logger
	vllmMetrics  bool
	names        []string
	maxBody      int64
	writeTimeout time.Duration
	runner       engine.Runner
	tokenizer    engine.Tokenizer
}

func defaults() config {
	return config{
		device: "auto", slots: 8, queueDepth: 64, queueWait: 30 * time.Second, stepTokens: 128,
		logger: slog.New(slog.DiscardHandler), maxBody: 10 << 20, writeTimeout: 30 * time.Second,
	}
}

// WithModelFile serves a GGUF file; default: the embedded model.
func WithModelFile(path string) Option { return func(c *config) { c.modelFile = path } }

// WithDevice chooses the device that computes: "cpu", or "auto" (default) for the
// fastest one available, which today is always the CPU. The log says which was chosen.
func WithDevice(name string) Option { return func(c *config) { c.device = name } }

// WithSlots sets how many requests run at once; default 8.
func WithSlots(slots int) Option { return func(c *config) { c.slots = slots } }

// WithQueue sets how many requests may wait for a slot, and how long; default 64
// requests and 30 s. Others get 503 with a Retry-After.
func WithQueue(depth int, wait time.Duration) Option {
	return func(c *config) { c.queueDepth, c.queueWait = depth, wait }
}

// WithContext sets the maximum length of prompt and answer together, in tokens. The
// model's own context length is the limit, and the default if it is not above 8192.
func WithContext(tokens int) Option { return func(c *config) { c.context = tokens } }

// WithStepTokens sets the maximum number of tokens that the engine computes in one
// step; default 128. Larger steps read long prompts faster, smaller ones delay running
// answers less.
func WithStepTokens(tokens int) Option { return func(c *config) { c.stepTokens = tokens } }

// WithThreads sets how many threads the CPU engine uses; default: one for each
// core that the process may use.
func WithThreads(threads int) Option { return func(c *config) { c.threads = threads } }

// WithLogger sets where the server logs; default: nowhere.
func WithLogger(logger *slog.Logger) Option { return func(c *config) { c.logger = logger } }

// WithVLLMMetrics adds the metric names of vLLM that load balancers scrape.
func WithVLLMMetrics() Option { return func(c *config) { c.vllmMetrics = true } }

// WithModelName sets the names under which the model is served, the first being
// the one in replies; default: "tiny" for the embedded model, else the name in
// the file.
func WithModelName(names ...string) Option { return func(c *config) { c.names = names } }

// WithMaxBody sets the largest request body in bytes; default 10 MiB.
func WithMaxBody(bytes int64) Option { return func(c *config) { c.maxBody = bytes } }

// WithWriteTimeout sets how long a client may take to accept a piece of a stream or of
// a large reply; default 30 s. The request of a client that takes longer is canceled, so
// that it cannot hold a slot or memory by not reading.
func WithWriteTimeout(limit time.Duration) Option { return func(c *config) { c.writeTimeout = limit } }

// WithEngine serves a runner and tokenizer of your own in place of a file. Close
// closes the runner.
func WithEngine(runner engine.Runner, tokenizer engine.Tokenizer) Option {
	return func(c *config) { c.runner, c.tokenizer = runner, tokenizer }
}
