// Command gpubackend serves one model over HTTP.
//
//	gpubackend -model file.gguf -listen 127.0.0.1:9100 -slots 8 -queue 64
//
// Without -model it serves the model that is embedded. It stops on SIGINT or
// SIGTERM: new requests are refused, those accepted are answered first, at most
// for as long as -drain says; the rest is told that it was cut short. A second
// signal ends it at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/penstockhq/penstock/gpubackend"
)

func main() { os.Exit(start()) }

// start runs the server until a signal and returns the status of the process.
func start() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Once the first signal is being handled, the next one has its usual effect.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "gpubackend:", err)
		return 1
	}
	return 0
}

type flags struct {
	listen  string
	drain   time.Duration
	say     func(text string) // to people, or to what reads the log
	options []gpubackend.Option
}

func parse(arguments []string, output io.Writer) (*flags, error) {
	set := flag.NewFlagSet("gpubackend", flag.ContinueOnError)
	set.SetOutput(output)
	var (
		model    = set.String("model", "", "GGUF `file` to serve (default: the embedded model)")
		name     = set.String("name", "", "`names` of the model, by commas (default: the name in the file)")
		device   = set.String("device", "auto", "auto or cpu")
		listen   = set.String("listen", "127.0.0.1:9100", "`address` to listen on")
		slots    = set.Int("slots", 8, "requests that run at once")
		queue    = set.Int("queue", 64, "requests that may wait for a slot")
		wait     = set.Duration("queue-wait", 30*time.Second, "how long a request may wait for a slot")
		length   = set.Int("context", 0, "longest prompt and answer together, in tokens (default: the model's own, at most 8192)")
		threads  = set.Int("threads", 0, "threads of the CPU engine (default: one a core)")
		step     = set.Int("step-tokens", 128, "tokens that a step reads at most")
		vllm     = set.Bool("vllm-metrics", false, "also expose vLLM's metric names")
		drain    = set.Duration("drain", 2*time.Minute, "how long running requests may take after a signal")
		jsonLogs = set.Bool("log-json", false, "log JSON lines")
	)
	if err := set.Parse(arguments); err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	logger := slog.New(slog.NewTextHandler(output, nil))
	say := func(text string) { fmt.Fprintln(output, text) }
	if *jsonLogs {
		logger = slog.New(slog.NewJSONHandler(output, nil))
		say = func(text string) { logger.Info(text) }
	}
	options := []gpubackend.Option{
		gpubackend.WithModelFile(*model), gpubackend.WithDevice(*device), gpubackend.WithSlots(*slots),
		gpubackend.WithQueue(*queue, *wait), gpubackend.WithContext(*length), gpubackend.WithThreads(*threads),
		gpubackend.WithStepTokens(*step), gpubackend.WithLogger(logger),
	}
	if *name != "" {
		options = append(options, gpubackend.WithModelName(strings.Split(*name, ",")...))
	}
	if *vllm {
		options = append(options, gpubackend.WithVLLMMetrics())
	}
	return &flags{listen: *listen, drain: *drain, say: say, options: options}, nil
}

// run serves until ctx ends.
func run(ctx context.Context, arguments []string, output io.Writer) (err error) {
	flags, err := parse(arguments, output)
	if err != nil {
		return err
	}
	server, err := gpubackend.New(flags.options...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	listener, err := net.Listen("tcp", flags.listen)
	if err != nil {
		return err
	}
	flags.say(fmt.Sprintf("listening on http://%s", listener.Addr()))
	front := &http.Server{Handler: server, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- front.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	flags.say("draining")
	return leave(context.WithoutCancel(ctx), flags.drain, server, front)
}

// farewell is how long callers may take to read that their answer was cut short.
const farewell = 5 * time.Second

// leave ends the program's work within the limit. While draining the server still
// answers, so that load balancers see it leave. What is not done then ends at
// once, and its callers are told before the connections close.
func leave(ctx context.Context, limit time.Duration, server *gpubackend.Server, front *http.Server) error {
	drain, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if server.Drain(drain) == nil {
		return closeFront(drain, front)
	}
	failure := fmt.Errorf("requests still ran after %v and were cut short", limit)
	if err := server.Close(); err != nil {
		failure = errors.Join(failure, err)
	}
	last, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	return errors.Join(failure, closeFront(last, front))
}

// closeFront waits for the last bytes of the replies.
func closeFront(limit context.Context, front *http.Server) error {
	if front.Shutdown(limit) == nil {
		return nil
	}
	return errors.Join(errors.New("callers did not read their replies to the end"), front.Close())
}
