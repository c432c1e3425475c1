package gpubackend

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/penstockhq/penstock/gpubackend/engine"
)

// Server serves one model. It is safe for concurrent use.
type Server struct {
	config      config
	info        engine.Info
	description string
	runner      engine.Runner
	tokenizer   engine.Tokenizer
	longest     int           // maximum number of bytes in one token
	reading     chan struct{} // holds one element for each long text being tokenized
	closeModel  func() error
	scheduler   *engine.Scheduler
	metrics     *metrics
	routes      *http.ServeMux
	started     time.Time
	closing     sync.Once
	closed      error
}

// New loads the model and starts the engine. The caller must Close the server.
// The error says what is wrong with the file or an option.
func New(options ...Option) (*Server, error) {
	config := defaults()
	for _, option := range options {
		option(&config)
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	loaded, err := load(&config)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: config, info: loaded.runner.Info(), description: loaded.description,
		runner: loaded.runner, tokenizer: loaded.tokenizer, closeModel: loaded.close,
		scheduler: engine.New(loaded.runner, loaded.tokenizer,
			engine.WithSlots(config.slots), engine.WithQueue(config.queueDepth, config.queueWait),
			engine.WithContext(config.context), engine.WithStepTokens(config.stepTokens)),
		started: time.Now(), reading: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	s.longest = longestPiece(s.tokenizer, s.info.Vocabulary)
	if len(s.config.names) == 0 {
		// A file may say anything; metrics and callers need UTF-8.
		s.config.names = []string{strings.ToValidUTF8(loaded.name, "\uFFFD")}
	}
	s.metrics = newMetrics(s)
	s.routes = s.newRoutes()
	config.logger.Info("model loaded", "name", s.name(), "file_name", s.info.Model, "architecture", s.info.Architecture,
		"parameters", s.info.Parameters, "weight_bytes", s.info.WeightBytes, "context", s.scheduler.Context(),
		"kv_bytes", loaded.runner.KV().Bytes, "slots", config.slots, "queue", config.queueDepth, "demonstration", s.info.Demonstration)
	return s, nil
}

// ServeHTTP answers a request. Errors have one shape on all routes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.routes.ServeHTTP(w, r)
}

// route is a handler that returns its error, for the server to log and to write.
type route func(http.ResponseWriter, *http.Request) error

func (s *Server) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	handle := func(method, path string, serve route) {
		mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
			s.run(serve, w, r)
		})
		allowed[path] = append(allowed[path], method)
		if method == http.MethodGet {
			allowed[path] = append(allowed[path], http.MethodHead)
		}
	}
	for _, path := range []string{"/infer", "/api/infer", "/api/v1/model"} {
		handle(http.MethodPost, path, s.serveInfer)
	}
	handle(http.MethodPost, "/v1/chat/completions", s.serveChat)
	handle(http.MethodPost, "/v1/completions", s.serveCompletions)
	handle(http.MethodPost, "/v1/embeddings", s.serveEmbeddings)
	handle(http.MethodPost, "/tokenize", s.serveTokenize)
	handle(http.MethodGet, "/v1/models", s.serveModels)
	handle(http.MethodGet, "/v1/models/{model...}", s.serveModel)
	handle(http.MethodGet, "/health", s.serveHealth)
	handle(http.MethodGet, "/ready", s.serveReady)
	handle(http.MethodGet, "/queue", s.serveQueue)
	handle(http.MethodGet, "/metrics", s.metrics.serve)
	for path, methods := range allowed {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			writeError(w, &apiError{
				status: http.StatusMethodNotAllowed, kind: kindInvalid, code: "method_not_allowed",
				message: "this path takes " + strings.Join(methods, ", "),
			})
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, errUnknownPath)
	})
	return mux
}

func (s *Server) run(serve route, w http.ResponseWriter, r *http.Request) {
	s.reportLoad(w, r)
	err := serve(w, r)
	if err == nil || r.Context().Err() != nil {
		return // the client has disconnected
	}
	s.logFailure(r, err)
	writeError(w, err)
}

// logFailure logs errors that are the server's fault. It does not log refusals: under
// overload they would fill the log, and the metrics count them.
func (s *Server) logFailure(r *http.Request, err error) {
	if asAPIError(err).status == http.StatusInternalServerError {
		s.config.logger.Error("request not answered", "path", r.URL.Path, "error", err)
	}
}

// Drain refuses new requests with 503 and waits until all accepted ones are answered.
// If ctx ends first, it returns the cause; requests that still run go on until Close.
func (s *Server) Drain(ctx context.Context) error { return s.scheduler.Drain(ctx) }

// Close ends all requests and releases the engine. Drain first to let them
// finish. It may be called more than once.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.scheduler.Close()
		s.closed = errors.Join(s.runner.Close(), s.closeModel())
	})
	return s.closed
}
