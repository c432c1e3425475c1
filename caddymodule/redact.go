package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware"
)

func init() { caddy.RegisterModule(new(RedactEncoder)) }

// RedactEncoder is a log format that keeps callers' keys out of a log. It wraps another
// format.
//
// Of requests it leaves out the headers in which clients send keys (Authorization,
// X-Api-Key, Api-Key, X-Goog-Api-Key, also with underscores) and such parameters of the
// query (api_key, access_token). Whatever else has the form of a Penstock key, in any
// field, is written as [secret].
type RedactEncoder struct {
	// WrappedRaw is the format of the entries. Default: json, or console where the log
	// goes to a terminal.
	WrappedRaw json.RawMessage `json:"wrap,omitempty" caddy:"namespace=caddy.logging.encoders inline_key=format"`

	zapcore.Encoder `json:"-"`
}

// CaddyModule implements caddy.Module.
func (*RedactEncoder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.encoders.penstock_redact",
		New: func() caddy.Module { return new(RedactEncoder) },
	}
}

// Provision implements caddy.Provisioner.
func (e *RedactEncoder) Provision(ctx caddy.Context) error {
	if e.WrappedRaw == nil {
		plain := new(logging.FilterEncoder) // without filters: it chooses the default format
		e.Encoder = plain
		return plain.Provision(ctx)
	}
	module, err := ctx.LoadModule(e, "WrappedRaw")
	if err != nil {
		return fmt.Errorf("wrap: %w", err)
	}
	e.Encoder = module.(zapcore.Encoder)
	return nil
}

// ConfigureDefaultFormat implements caddy.ConfiguresFormatterDefault.
func (e *RedactEncoder) ConfigureDefaultFormat(opener caddy.WriterOpener) error {
	if wrapped, ok := e.Encoder.(caddy.ConfiguresFormatterDefault); ok {
		return wrapped.ConfigureDefaultFormat(opener)
	}
	return nil
}

// UnmarshalCaddyfile reads the format. Syntax:
//
//	format penstock_redact {
//	    wrap <format>
//	}
func (e *RedactEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.Errf("unexpected argument %q; the format takes a block", d.Val())
	}
	for d.NextBlock(0) {
		if d.Val() != "wrap" {
			return unknown(d, "option of penstock_redact", []string{"wrap"})
		}
		if e.WrappedRaw != nil {
			return d.Err("wrap is already specified")
		}
		if !d.NextArg() {
			return d.ArgErr()
		}
		name := d.Val()
		module, err := caddyfile.UnmarshalModule(d, "caddy.logging.encoders."+name)
		if err != nil {
			return err
		}
		wrapped, ok := module.(zapcore.Encoder)
		if !ok {
			return d.Errf("wrap: %s is not a log format", name)
		}
		e.WrappedRaw = caddyconfig.JSONModuleObject(wrapped, "format", name, nil)
	}
	return nil
}

// Clone implements zapcore.Encoder.
func (e *RedactEncoder) Clone() zapcore.Encoder {
	return &RedactEncoder{Encoder: e.Encoder.Clone()}
}

// AddObject implements zapcore.ObjectEncoder.
func (e *RedactEncoder) AddObject(name string, object zapcore.ObjectMarshaler) error {
	return e.Encoder.AddObject(name, withoutKeys(object))
}

// EncodeEntry implements zapcore.Encoder.
func (e *RedactEncoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	for i := range fields {
		if request, ok := fields[i].Interface.(caddyhttp.LoggableHTTPRequest); ok {
			fields = slices.Clone(fields) // the list is the caller's
			fields[i].Interface = withoutKeys(request)
		}
	}
	line, err := e.Encoder.EncodeEntry(entry, fields)
	if err != nil {
		return nil, err
	}
	text := line.String()
	if masked := ledger.MaskKeys(text); masked != text {
		line.Reset()
		line.AppendString(masked)
	}
	return line, nil
}

// withoutKeys takes the places in which clients send keys out of a request.
func withoutKeys(object zapcore.ObjectMarshaler) zapcore.ObjectMarshaler {
	if request, ok := object.(caddyhttp.LoggableHTTPRequest); ok {
		request.Request = middleware.WithoutKeys(request.Request)
		return request
	}
	return object
}

// Interface guards
var (
	_ caddy.Provisioner                = (*RedactEncoder)(nil)
	_ caddy.ConfiguresFormatterDefault = (*RedactEncoder)(nil)
	_ caddyfile.Unmarshaler            = (*RedactEncoder)(nil)
	_ zapcore.Encoder                  = (*RedactEncoder)(nil)
)
