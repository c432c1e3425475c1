package runtime

import (
	"context"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/exp/zapslog"
)

// LastingLog returns a logger for what outlives a configuration. The loggers that
// Caddy gives to a module write to the outputs of that module's configuration,
// which are closed when it goes; this one finds those of the running one each time.
func LastingLog(name string) *slog.Logger {
	return slog.New(lastingHandler{name: name, with: func(handler slog.Handler) slog.Handler { return handler }})
}

// lastingHandler passes each record to the logger that Caddy has at that moment.
type lastingHandler struct {
	name string
	with func(slog.Handler) slog.Handler // adds the attributes and groups so far
}

func (h lastingHandler) present() slog.Handler {
	const never = slog.Level(127) // stack traces are of no use to operators
	return h.with(zapslog.NewHandler(caddy.Log().Core(), zapslog.WithName(h.name), zapslog.AddStacktraceAt(never)))
}

// Enabled implements slog.Handler.
func (h lastingHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.present().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h lastingHandler) Handle(ctx context.Context, record slog.Record) error {
	return h.present().Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h lastingHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return lastingHandler{h.name, func(handler slog.Handler) slog.Handler { return h.with(handler).WithAttrs(attributes) }}
}

// WithGroup implements slog.Handler.
func (h lastingHandler) WithGroup(name string) slog.Handler {
	return lastingHandler{h.name, func(handler slog.Handler) slog.Handler { return h.with(handler).WithGroup(name) }}
}
